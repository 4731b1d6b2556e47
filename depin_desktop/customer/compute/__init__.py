"""Buying work: chat, embeddings, ONNX models and WASM jobs from whichever provider is cheap, free and honest.

Providers are found in the market's offers, paid by metered vouchers, replaced when they fail and checked as BOINC does
it. Usable on its own from Python, and behind a local gateway that speaks OpenAI's API.
"""
