"""The engine: composition root, life cycle, settings, supervisor. It imports every room and none imports it."""
