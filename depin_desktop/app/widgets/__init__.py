"""Painted and styled building blocks. They know tokens and texts, never the engine or its models."""
