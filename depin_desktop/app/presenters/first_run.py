"""The first-run form in words: how strong a password is, and whether the form may be sent."""

from __future__ import annotations

from dataclasses import dataclass

from depin_desktop.app.words import Words, tr

MIN_PASSWORD_LENGTH = 8  # the command line insists on the same


@dataclass(frozen=True)
class FirstRunForm:
    """What the form says about what was typed."""

    strength: Words
    level: int  # 0 nothing, 1 weak, 2 fair, 3 strong
    match: Words
    can_go: bool


def judge(network_file: str, password: str, again: str) -> FirstRunForm:
    """Judges the form; a weak password of sufficient length is a warning, not a bar."""
    level, strength = _strength(password)
    differs = bool(again) and again != password
    match = Words(tr("The two passwords differ."), "fault") if differs else Words("")
    long_enough = len(password) >= MIN_PASSWORD_LENGTH
    return FirstRunForm(strength, level, match, bool(network_file.strip()) and long_enough and again == password)


def _strength(password: str) -> tuple[int, Words]:
    if not password:
        return 0, Words(tr("At least {n} characters. Four random words are strong.", n=MIN_PASSWORD_LENGTH), "muted")
    if len(password) < MIN_PASSWORD_LENGTH:
        return 1, Words(tr("{n} more characters", n=MIN_PASSWORD_LENGTH - len(password)), "warning")
    kinds = sum(
        any(test(character) for character in password)
        for test in (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum())
    )
    variety = len(set(password))
    if variety >= 8 and (len(password) >= 14 or (len(password) >= 12 and kinds >= 3)):
        return 3, Words(tr("Strong"), "accent")
    if len(password) >= 10 and variety >= 6:
        return 2, Words(tr("Fair. A few more words make it strong."), "info")
    return 1, Words(tr("Weak. Somebody with your disk could guess it."), "warning")
