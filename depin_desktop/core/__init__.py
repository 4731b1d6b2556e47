"""What every other room stands on: errors, units, paths, tasks, the event bus and SQLite.

Nothing here knows of storage, chains, peers or windows, and nothing here imports another room.
"""
