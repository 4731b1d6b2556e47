"""The one door between the engine and whatever shows or steers it: the app and the command line.

Models are shared, `server` belongs to the engine, `client` to its callers. Nothing else of the engine is visible here.
"""
