"""The demand side: store and fetch files; usable on its own, without an engine.

Everything runs in the caller's process: the CLI, an fsspec user such as pandas, or the demand of an embedded network.
Files are encrypted and coded here; a provider sees nothing but pieces of ciphertext.
"""
