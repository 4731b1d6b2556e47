"""What a desktop session can tell of its user: how long nobody has touched it, and whether a program fills the screen.

Only programs of that session can know, so the app (or `depin presence`) looks and tells the engine, which may be no
part of any session. What a desktop does not show is None: unknown, never guessed. No Qt and no engine in here.
"""
