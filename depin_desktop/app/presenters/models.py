"""Models and runtimes in words: the cells of their table, imports on their way, and what removing one means."""

from __future__ import annotations

import os
from dataclasses import dataclass

from depin_desktop.api.compute import ModelImport, ModelStatus
from depin_desktop.app.words import NBSP, Words, counted, named, tr
from depin_desktop.core.units import format_size, format_tokens

KINDS = {
    "chat": "Chat",
    "completion": "Completion",
    "embedding": "Embeddings",
    "onnx": "ONNX model",
    "wasm": "WASM",
}
COLUMNS = ("Model", "Does", "Runs on", "Speed", "Price", "State")
RIGHT = frozenset({3, 4})
TWO_LINES = (0, 1, 2, 3, 4)
LONGEST = 26


def kind_name(kind: str) -> str:
    """A kind of work in words; an unknown one is shown as it came."""
    return tr(KINDS[kind]) if kind in KINDS else kind


def short(text: str, longest: int = LONGEST) -> str:
    """A name that fits a table's cell; the whole one belongs in its tip."""
    return named(text if len(text) <= longest else f"{text[: longest - 9]}…{text[-8:]}")


def cell(model: ModelStatus, column: int, device: str, symbol: str) -> Words:
    """One cell of the table, in two lines where there is more to tell; `device` names what the model runs on."""
    if column == 0:
        return _name(model)
    if column == 1:
        return Words(f"{kind_name(model.kind)}\n{short(model.engine)}", "text", model.engine)
    if column == 2:
        slots = counted(model.slots, tr("slot"), tr("slots"))
        return Words(f"{short(device)}\n{slots}", "text", tr("{slots}: jobs that it can do at once", slots=slots))
    if column == 3:
        return speed(model)
    if column == 4:
        return price(model, symbol)
    return state(model)


def _name(model: ModelStatus) -> Words:
    if not model.sha256:
        return Words(tr("Sandboxed programs") + "\n" + tr("customers bring them"), "text", model.name)
    lines = [model.name, f"SHA-256 {model.sha256}"]
    if model.context_tokens:
        lines.append(tr("context of {n} tokens", n=model.context_tokens))
    if model.licence:
        lines.append(tr("Licence: {licence}", licence=model.licence))
    size = format_size(model.size_bytes) if model.size_bytes else ""
    licence = short(model.licence, 20) if model.licence else tr("licence unknown")
    second = " · ".join(part for part in (licence, size) if part)
    return Words(f"{short(model.name)}\n{second}", "text", "\n".join(lines))


def speed(model: ModelStatus) -> Words:
    """What was measured on this machine."""
    if not model.served and not model.problem and not model.rate:
        return Words("–", "faint")
    if not model.rate:
        return Words(tr("not measured"), "faint", tr("It is measured before the first customer uses it."))
    if model.kind == "wasm":
        return Words(f"{large(model.rate)}\nfuel/s", "text", tr("One unit of fuel is about one instruction."))
    if model.kind == "onnx":
        return Words(f"{model.rate:.3g}\nruns/s")
    tip = tr("Tokens read in a second") if model.kind == "embedding" else tr("Tokens written in a second, in one slot")
    return Words(f"{_figure(model.rate)}\ntokens/s", "text", tip)


def price(model: ModelStatus, symbol: str) -> Words:
    """What customers pay now; what it counts is in the unit."""
    if not model.served:
        return Words("–", "faint")
    if model.kind == "wasm":
        return Words(f"{format_tokens(model.price_per_gfuel)}\nper Gfuel", "text", _per(symbol, "10⁹ instructions"))
    if model.kind == "onnx":
        return Words(f"{format_tokens(model.price_per_run_second)}\nper second", "text", _per(symbol, tr("second")))
    read, written = format_tokens(model.price_in_per_mtoken), format_tokens(model.price_out_per_mtoken)
    if model.kind == "embedding":
        return Words(f"{read}\nper Mtoken", "text", _per(symbol, tr("million tokens read")))
    tip = tr(
        "{read} {symbol} for each million tokens read, {written} for those written",
        read=read,
        written=written,
        symbol=symbol,
    )
    return Words(f"{read} + {written}\nper Mtoken", "text", tip)


def _per(symbol: str, unit: str) -> str:
    return tr("{symbol} for each {unit}", symbol=symbol, unit=unit)


def state(model: ModelStatus) -> Words:
    """Whether it is served, and from where."""
    if model.problem:
        return Words(tr("Not served"), "warning", model.problem)
    if not model.served:
        return Words(tr("Off"), "muted")
    if model.kind == "wasm":
        return Words(tr("Ready"), "info", tr("Customers bring their programs."))
    if model.loaded:
        return Words(tr("In memory"), "info", tr("Answers at once."))
    return Words(tr("On disk"), "muted", tr("It is loaded when a customer asks for it."))


def sort_key(model: ModelStatus, column: int) -> float | str:
    """What a column is ordered by."""
    keys: tuple[float | str, ...] = (
        model.name.lower(),
        model.kind,
        model.device,
        model.rate,
        max(model.price_out_per_mtoken, model.price_in_per_mtoken, model.price_per_run_second, model.price_per_gfuel)
        / 1e18,
        bool(model.problem) * 4 + (not model.served) * 2 + (not model.loaded),
    )
    return keys[column]


def copied(model: ModelStatus) -> str:
    """A row for the clipboard."""
    return "\t".join((model.name, model.kind, model.engine, model.sha256, model.licence, f"{model.rate:g}"))


def removable(model: ModelStatus | None, live: bool) -> Words:
    """Whether the chosen model's file may be deleted: tone "text" when it may, and a tip that says why not."""
    if model is None:
        return Words(tr("Remove…"), "muted", tr("Choose a model in the table first."))
    if not model.sha256:
        return Words(tr("Remove…"), "muted", tr("This runtime has no file; switch it off with Share compute."))
    return Words(tr("Remove…"), "text" if live else "muted")


def remove_sentences(model: ModelStatus) -> tuple[str, ...]:
    """What removing means, for the question before it."""
    free = tr("Its file of {size} is deleted from this machine.", size=format_size(model.size_bytes))
    after = tr("Customers are no longer offered it. To serve it again, import its file again.")
    return (free, tr("What runs on it now comes to its end first."), after) if model.loaded else (free, after)


def summary(models: tuple[ModelStatus, ...], held_bytes: int, disk_cap: int | None) -> str:
    """The line beside the card's title."""
    if not models or not held_bytes:
        return ""  # what came with the installation takes nothing of the disk's budget
    on_disk = format_size(held_bytes)
    return tr("{size} on disk", size=on_disk) if disk_cap is None else f"{on_disk} / {format_size(disk_cap)}"


@dataclass(frozen=True)
class ImportView:
    """A file on its way in."""

    id: str
    title: str
    detail: Words
    done: float | None  # 0 to 1; None while its size is not known, or after it has failed
    action: str


def import_view(entry: ModelImport) -> ImportView:
    """How far it is, or why it failed."""
    name = entry.name or os.path.basename(entry.path)
    if entry.problem:
        return ImportView(entry.id, name, Words(entry.problem, "fault", entry.path), None, tr("Dismiss"))
    if entry.size_bytes and entry.done_bytes >= entry.size_bytes:
        return ImportView(entry.id, name, Words(tr("Checking it…"), "muted", entry.path), 1.0, tr("Cancel"))
    progress = tr("{done} of {all}", done=format_size(entry.done_bytes), all=format_size(entry.size_bytes))
    done = entry.done_bytes / entry.size_bytes if entry.size_bytes else None
    return ImportView(
        entry.id, name, Words(progress if done is not None else "", "muted", entry.path), done, tr("Cancel")
    )


def large(count: float) -> str:
    """A large count with its prefix: 3.1e8 → "310 M"."""
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{_figure(count / size)}{NBSP}{prefix}"
    return _figure(count)


def _figure(value: float) -> str:
    """Three digits: 4.23, 42.3, 423."""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def import_problem(path: str, sha256: str) -> str:
    """Why a file cannot be imported as it is written there; empty when it may be tried."""
    if not path:
        return ""
    if not os.path.isabs(path):
        return tr("Write the whole path, from the root of the disk.")
    if not path.lower().endswith((".gguf", ".onnx")):
        return tr("Only GGUF and ONNX files are taken: formats that carry programs (pickle) are not safe to open.")
    if sha256 and not (len(sha256) == 64 and all(digit in "0123456789abcdef" for digit in sha256.lower())):
        return tr("A SHA-256 has 64 hexadecimal digits.")
    return ""
