"""Selling work: AI inference, embeddings, ONNX models and WASM jobs, metered and paid by voucher.

The engine's process only queues, meters and signs; what strangers send runs in worker processes (`runtimes/`), which it
can kill. It knows the engine only through `services.base.Service`.
"""
