"""dev.py's pure parts, and what must hold of the lock file and of everything committed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dev
from tools.dev import slither_report, system_libraries, system_packages
from tools.dev.commands import run_quietly
from tools.dev.main import main, parser
from tools.dev.processes import Family
from tools.dev.say import Stop
from tools.dev.stamps import Stamp, fingerprint

ROOT = Path(dev.__file__).parent
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in Linux's /proc")


@pytest.mark.parametrize(
    ("version", "fits"),
    [((3, 10, 13), False), ((3, 11, 0), True), ((3, 13, 9), True), ((3, 14, 0), False), ((2, 7, 18), False)],
)
def test_only_pythons_that_run_the_project_are_accepted(version: tuple[int, ...], fits: bool) -> None:
    problem = dev.version_problem(version)
    assert (problem == "") is fits
    if not fits:
        assert ".".join(map(str, version)) in problem
        assert "3.11, 3.12 or 3.13" in problem


def test_a_stamp_matches_until_what_it_was_made_from_changes(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.write_text("one==1")
    stamp = Stamp(tmp_path / "deep" / "stamp")
    assert not stamp.matches(fingerprint(lock))
    stamp.write(fingerprint(lock))
    assert stamp.matches(fingerprint(lock))
    lock.write_text("one==2")
    assert not stamp.matches(fingerprint(lock))
    stamp.clear()
    assert not stamp.matches(fingerprint(lock))


def test_a_fingerprint_tells_where_one_source_ends_and_the_next_begins(tmp_path: Path) -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert fingerprint(tmp_path / "missing") == fingerprint("")


def test_a_missing_library_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = {"libGL.so.1": "libgl1", "libdepin-none.so.7": "libdepin-none7", "libdepin-none.so.8": "libdepin-none7"}
    missing = [name for name in system_libraries.missing_libraries(libraries) if "depin" in name]
    assert missing == ["libdepin-none.so.7", "libdepin-none.so.8"]
    assert system_libraries.packages_of(missing, libraries) == ["libdepin-none7"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    with pytest.raises(Stop) as stopped:
        system_packages.install_or_explain(["libdepin-none7", "libx"], "The window needs more")
    sentence = str(stopped.value)
    assert sentence.startswith("The window needs more.")
    assert "libdepin-none7" in sentence


def test_each_screen_needs_its_own_libraries() -> None:
    bare = system_libraries.wanted_libraries()
    assert not [name for name in bare if "xcb" in name or "wayland" in name]
    assert "libgomp.so.1" in bare
    assert not [name for name in system_libraries.wanted_libraries(window=False) if name in system_libraries.WINDOW]
    assert "libxcb-cursor.so.0" in system_libraries.wanted_libraries(x11=True)
    assert "libwayland-client.so.0" in system_libraries.wanted_libraries(wayland=True)


def test_a_failing_program_becomes_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    words = [sys.executable, "-c", "print('first'); print('It broke.'); raise SystemExit(3)"]
    with pytest.raises(
        Stop, match=r"^The work failed: It broke\. Try again\. Everything it said is in .*test-dev\.log"
    ):
        run_quietly(words, log="test-dev", failure="The work failed", remedy="Try again.")
    assert capsys.readouterr().out == "", "without a terminal nothing is shown meanwhile"


def test_a_program_that_is_not_there_becomes_a_sentence() -> None:
    with pytest.raises(Stop, match="No such file"):
        run_quietly(["/nowhere/program"], log="test-dev", failure="The work failed", remedy="Try again.")


def test_what_follows_test_goes_to_pytest() -> None:
    options, rest = parser().parse_known_args(["test", "-k", "wallet", "tests/unit", "-x"])
    assert (options.command, options.deep) == ("test", False)
    assert rest == ["-k", "wallet", "tests/unit", "-x"]


def test_unknown_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--sideways"])
    assert "--sideways" in capsys.readouterr().err


DETACHING = """
import subprocess, sys
sleeper = subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"],
                           stdout=subprocess.PIPE, start_new_session=True)
sleeper.stdout.readline()
"""
FAMILY = f"""
import os, sys
from tools.dev.processes import Family
family = Family()
assert family.run([sys.executable, "-c", {DETACHING!r}]) == 0
(pid,) = family.others()
ended = family.end_others(5.0)
print(pid, list(ended) == [pid], family.others() == {{}}, os.path.exists(f"/proc/{{pid}}"))
"""


@linux_only
def test_a_process_that_detached_itself_is_found_ended_and_buried() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAMILY], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split()[1:] == ["True", "True", "False"]


@linux_only
def test_a_process_that_will_not_end_is_killed() -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    script = f"""
import os, subprocess, sys
from tools.dev.processes import Family
family = Family()
process = subprocess.Popen([sys.executable, "-c", {deaf!r}], stdout=subprocess.PIPE)
process.stdout.readline()
family._own.append(process)
family.end_others(0.1)
print(process.wait(5))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) == -signal.SIGKILL


@linux_only
def test_waiting_gives_up_in_time() -> None:
    family = Family.__new__(Family)  # the real one would adopt the orphans of the whole test run
    family._own = []
    process = family.start([sys.executable, "-c", "import time; time.sleep(600)"], log="test-dev")
    began = time.monotonic()
    assert not family.wait(process, 0.1)
    family.end(process, 5.0)
    assert process.returncode == -signal.SIGTERM
    assert time.monotonic() - began < 5


def locked() -> dict[str, list[Requirement]]:
    """Name → the lock's entries (one, or several with markers)."""
    found: dict[str, list[Requirement]] = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.rstrip(" \\"))
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def test_the_lock_file_satisfies_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entries = locked()
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(text)
        pinned = entries.get(canonicalize_name(wanted.name))
        assert pinned, f"{wanted.name} is not in requirements.lock: make it anew"
        for entry in pinned:
            (version,) = [specifier.version for specifier in entry.specifier]
            assert wanted.specifier.contains(version, prereleases=True), f"{text} is not satisfied by {version}"


def test_every_locked_package_has_one_version_and_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text)
    for block in blocks[1:]:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


def test_no_lock_file_names_an_address() -> None:
    locks = [ROOT / "requirements.lock", ROOT / "resources/contracts/package-lock.json"]
    locks += sorted((ROOT / "tools" / "dev").glob("*.lock"))
    for lock in locks:
        addresses = [line.strip() for line in lock.read_text().splitlines() if "://" in line and "sponsors" not in line]
        assert addresses == [], lock.name


def test_a_finding_needs_a_reason_and_a_reason_its_finding(tmp_path: Path) -> None:
    def finding(impact: str, check: str, name: str) -> dict[str, object]:
        parent = {"name": "Vault"}
        return {
            "impact": impact,
            "check": check,
            "description": f"{name} is odd",
            "elements": [{"name": name, "type_specific_fields": {"parent": parent}}],
        }

    report = tmp_path / "report.json"
    detectors = [finding("High", "reentrancy", "pay"), finding("Low", "timestamp", "open")]
    report.write_text(json.dumps({"success": True, "error": None, "results": {"detectors": detectors}}))
    assert slither_report.findings(report) == {"reentrancy: Vault.pay": "pay is odd"}
    assert slither_report.unexplained({"a: b": ""}, ["c: d"]) == (["a: b"], ["c: d"])
    assert slither_report.unexplained({"a: b": ""}, ["a: b"]) == ([], [])
    report.write_text(json.dumps({"success": False, "error": "no compiler", "results": {}}))
    with pytest.raises(ValueError, match="no compiler"):
        slither_report.findings(report)
