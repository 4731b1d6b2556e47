"""The two families of errors: those a person can act on, and everything else (a logged bug)."""

from __future__ import annotations


class UserFacingError(Exception):
    """An outcome a person can understand and act on; the only kind whose text reaches a screen.

    Args:
        message: one plain sentence that says what happened.
        remedy: one plain sentence that says what to do, or empty where nothing can be done.
        code: a stable identifier for scripts and tests, in kebab-case.
        status: the HTTP status that an API answers with.
    """

    def __init__(self, message: str, remedy: str = "", *, code: str = "error", status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code
        self.status = status

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()
