"""The command line on a real terminal: what is asked, what is not shown, and that Ctrl-C ends a question at once."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from depin_desktop.chain.chain import Chain
from depin_desktop.core.home import Home
from depin_desktop.wallet.vault import Vault
from tests.conftest import PASSWORD

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX's")

# With the space that comes last: what is typed earlier is thrown away when the terminal stops showing it.
PATIENCE_S = 30.0
PASSWORD_ASKED, GO_ON = "Password: ", "Go on? [y/N]: "


class Terminal:
    """One command on a pseudo-terminal of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.screen = ""
        self._master, slave = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "depin_desktop.cli", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "DEPIN_HOME": str(home)},
        )
        os.close(slave)

    def _read(self) -> bool:
        """Reads what there is, within a time; False at the end."""
        if not select.select([self._master], [], [], PATIENCE_S)[0]:
            raise AssertionError(f"nothing more comes after:\n{self.screen}")
        try:
            read = os.read(self._master, 4096)
        except OSError:  # the other side is closed
            return False
        self.screen += read.decode(errors="replace")
        return bool(read)

    def until(self, words: str) -> None:
        """Reads until the words are on the screen."""
        while words not in self.screen:
            assert self._read(), f"{words!r} never came:\n{self.screen}"

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def interrupt(self) -> None:
        """Presses Ctrl-C, and again where it came just before the program began to wait for it."""
        for _ in range(20):
            self.type("\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
                return

    def end(self) -> int:
        """Reads to the end; returns the exit code."""
        while self._read():
            pass
        return self.process.wait(20)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


@contextlib.contextmanager
def terminal(home: Home, *arguments: str) -> Iterator[Terminal]:
    opened = Terminal(home.root, *arguments)
    try:
        yield opened
    finally:
        opened.close()


async def test_sending_shows_the_fee_and_asks_and_the_password_is_not_on_the_screen(make_home, chain: Chain) -> None:
    home, friend = await make_home(), Account.create().address

    def refuse_then_send() -> None:
        for answer in ("n", "y"):
            with terminal(home, "wallet", "send", friend, "3") as shown:
                shown.until(PASSWORD_ASKED)
                shown.type(f"{PASSWORD}\n")
                shown.until(GO_ON)
                assert f"to {friend}. Fee: at most" in shown.screen
                shown.type(f"{answer}\n")
                assert shown.end() == (0 if answer == "y" else 1)
                assert PASSWORD not in shown.screen

    await asyncio.to_thread(refuse_then_send)
    assert await chain.token.balance_of(friend) == 3 * 10**18


@pytest.mark.parametrize("question", [PASSWORD_ASKED, GO_ON])
async def test_ctrl_c_ends_a_question_at_once_and_nothing_is_sent(make_home, chain: Chain, question: str) -> None:
    home, friend = await make_home(), Account.create().address

    def interrupt() -> None:
        with terminal(home, "wallet", "send", friend, "3") as shown:
            shown.until(PASSWORD_ASKED)
            if question != PASSWORD_ASKED:
                shown.type(f"{PASSWORD}\n")
                shown.until(question)
            shown.interrupt()
            assert shown.end() == 1
            assert "Traceback" not in shown.screen

    await asyncio.to_thread(interrupt)
    assert await chain.token.balance_of(friend) == 0


async def test_the_words_count_as_backed_up_once_the_owner_says_so(make_home) -> None:
    home = await make_home()
    words = Vault.load(home.vault).words(PASSWORD)

    def back_up() -> None:
        with terminal(home, "wallet", "backup") as shown:
            shown.until(PASSWORD_ASKED)
            shown.type(f"{PASSWORD}\n")
            shown.until("Are they on paper now? [y/N]: ")
            assert words in shown.screen
            shown.type("y\n")
            assert shown.end() == 0

    await asyncio.to_thread(back_up)
    assert Vault.load(home.vault).backed_up
