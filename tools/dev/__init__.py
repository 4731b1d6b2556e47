"""What `dev.py` does, with the standard library alone: it runs before anything is installed.

Each step first looks whether its work is already done, so that a second start costs next to nothing.
"""
