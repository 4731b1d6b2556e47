#!/usr/bin/env python3
"""Compiles the contracts and writes what the application needs of them: ABI, bytecode and the settings behind it.

Where each contract keeps what in its storage goes to storage-layout.json, so that a change of it is seen in a review.

    python3 build_artifacts.py            write the artifacts
    python3 build_artifacts.py --check    exit 1 if they differ from what the sources compile to

Needs `npm ci` in this folder first; uses the standard library only.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ARTIFACTS = HERE.parents[1] / "depin_desktop" / "chain" / "artifacts"
LAYOUT = HERE / "storage-layout.json"
CONTRACTS = (
    "BatchSettlement",
    "DepinToken",
    "ERC3009DepositCollector",
    "Multicall3",
    "ProviderRegistry",
    "StorageDeals",
)


def forge() -> Path:
    """The forge that `npm ci` installed, else the one on the PATH.

    Raises:
        FileNotFoundError: there is none, or the compiler is missing.
    """
    if not (HERE / "node_modules" / "solc").is_dir():
        raise FileNotFoundError(f"the contracts' npm packages are missing: run `npm ci --ignore-scripts` in {HERE}")
    for path in sorted(HERE.glob("node_modules/@foundry-rs/forge-*/bin/forge*")):
        return path
    found = shutil.which("forge")
    if found is None:
        raise FileNotFoundError("forge is missing: npm has none for this system, so install Foundry")
    return Path(found)


def compile_contracts(out: Path) -> dict[Path, str]:
    """Compiles `src` into the empty folder `out`; returns the text of every file that follows from it."""
    command = [str(forge()), "build", "src", "--force", "--out", str(out), "--cache-path", str(out / "cache")]
    command += ["--extra-output", "storageLayout"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=False)  # noqa: S603 - our forge
    if done.returncode != 0:
        raise RuntimeError(f"forge build failed:\n{done.stdout}{done.stderr}")
    compiled = {name: json.loads((out / f"{name}.sol" / f"{name}.json").read_text("utf-8")) for name in CONTRACTS}
    layouts = {name: storage(one["storageLayout"]) for name, one in compiled.items()}
    texts = {ARTIFACTS / f"{name}.json": render(one) for name, one in compiled.items()}
    return {**texts, LAYOUT: json.dumps(layouts, indent=1) + "\n"}


def storage(layout: dict[str, Any]) -> dict[str, list[str]]:
    """The contract's variables, then the members of each struct among them, as "slot+offset: type name"."""
    types = layout["types"] or {}

    def lines(variables: list[dict[str, Any]]) -> list[str]:
        return [f"{one['slot']}+{one['offset']}: {types[one['type']]['label']} {one['label']}" for one in variables]

    structs = {kind["label"]: lines(kind["members"]) for kind in types.values() if "members" in kind}
    return {"storage": lines(layout["storage"]), **dict(sorted(structs.items()))}


def render(compiled: dict[str, Any]) -> str:
    """The artifact's text for one of forge's output files."""
    metadata = compiled["metadata"]
    settings = metadata["settings"]
    (name,) = settings["compilationTarget"].values()
    artifact = {
        "name": name,
        "abi": compiled["abi"],
        "bytecode": compiled["bytecode"]["object"],
        "deployedBytecode": compiled["deployedBytecode"]["object"],
        "immutables": sorted(
            (place["start"], place["length"])
            for places in compiled["deployedBytecode"].get("immutableReferences", {}).values()
            for place in places
        ),
        "compiler": {
            "version": metadata["compiler"]["version"],
            "evmVersion": settings["evmVersion"],
            "optimizer": settings["optimizer"],
            "viaIR": settings.get("viaIR", False),
        },
    }
    return json.dumps(artifact, indent=1) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as out:
        texts = compile_contracts(Path(out))
    stale = []
    for path, text in texts.items():
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale.append(path.stem)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="\n")
    surplus = sorted(path.name for path in ARTIFACTS.glob("*.json") if path not in texts)
    if stale:
        print(f"{'differ' if check else 'written'}: {', '.join(stale)}")  # noqa: T201 - a program's output
    if surplus:
        print(f"no contract of ours: {', '.join(surplus)}")  # noqa: T201 - a program's output
    return 1 if check and (stale or surplus) else 0


if __name__ == "__main__":
    sys.exit(main())
