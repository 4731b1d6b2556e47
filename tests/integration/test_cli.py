"""The command line as scripts rely on it: names, exit codes, JSON, and sentences instead of tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from depin_desktop.cli import main
from depin_desktop.cli.store import parse_code
from depin_desktop.core.errors import UserFacingError


def run(*arguments: str, stdin: str = "", home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"DEPIN_HOME": str(home)} if home else {})}
    return subprocess.run(
        [sys.executable, "-m", "depin_desktop.cli", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, command in sorted(group.commands.items()):
        found.append((*path, name))
        if hasattr(command, "commands"):
            found += commands(command, (*path, name))
    return found


def test_the_names_that_are_relied_upon_exist() -> None:
    have = {" ".join(path) for path in commands(main)}
    assert have >= {
        *("localnet up", "localnet down", "localnet status", "init", "engine", "status", "hardware"),
        *("share storage", "unshare storage", "store put", "store get", "store ls", "store rm"),
        *("wallet", "wallet history", "completion"),
    }


@pytest.mark.parametrize("path", [path for path in commands(main) if path[0] != "completion"])
def test_every_command_that_does_something_takes_json_and_home(path: tuple[str, ...]) -> None:
    command: Any = main
    for name in path:
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}
    assert hasattr(command, "commands") or {"--json", "--home"} <= options


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (("status",), 3, "engine-unreachable"),
        (("share", "storage", "--path", "x", "--size", "5GiB"), 3, "engine-unreachable"),
        (("share", "storage", "--path", "x", "--size", "five"), 1, "bad-size"),
        (("engine",), 1, "not-initialised"),
        (("wallet",), 1, "not-initialised"),
        (("store", "put", "x", "--code", "3/2"), 1, "bad-code"),
        (("init", "--network", "nowhere.json", "--password-stdin"), 1, "weak-password"),
    ],
)
def test_refusals_have_an_exit_code_a_sentence_and_a_remedy(
    arguments: tuple[str, ...], code: int, kind: str, tmp_path: Path
) -> None:
    plain = run(*arguments, home=tmp_path)
    assert plain.returncode == code, plain
    assert plain.stderr.count("\n") == 1
    assert "Traceback" not in plain.stderr + plain.stdout
    as_json = run(*arguments, "--json", home=tmp_path)
    assert as_json.returncode == code
    problem = json.loads(as_json.stdout)["error"]
    assert problem["code"] == kind
    assert problem["message"]
    assert problem["remedy"]


def test_a_missing_network_file_is_named(tmp_path: Path) -> None:
    done = run("init", "--network", str(tmp_path / "no.json"), "--password-stdin", stdin="long enough\n", home=tmp_path)
    assert done.returncode == 1
    assert "no.json is not a network file" in done.stderr


def test_wrong_usage_is_two() -> None:
    assert run("store", "put").returncode == 2
    assert run("nonsense").returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed(shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_DEPIN_COMPLETE" in done.stdout


def test_codes_are_understood() -> None:
    assert parse_code("2/4") == (2, 4)
    for wrong in ("", "2", "0/1", "5/4", "a/b", "1/256", "1/2/3"):
        with pytest.raises(UserFacingError):
            parse_code(wrong)
