"""The demand side: store and fetch files; usable on its own, without an engine."""
