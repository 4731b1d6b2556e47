"""The models that this machine may serve: a folder with one folder for each, named by the SHA-256 of its file.

A model is copied beside, verified, and renamed into place with its description, so that it is there as a whole or not
at all; what a crash leaves half copied is thrown away at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically
from depin_desktop.services.compute.models.copying import Cancelled, Progress, copy_and_hash, hash_file
from depin_desktop.services.compute.models.formats import TOKENIZER, Format, Model, recognise
from depin_desktop.services.compute.models.gguf import BadGguf, GgufHeader, read_gguf
from depin_desktop.services.compute.models.shipped import Shipped, shipped_models
from depin_desktop.services.compute.runtimes.base import WorkKind

log = logging.getLogger(__name__)

KEPT_FREE_BYTES = 1 << 30
_DESCRIPTION = "model.json"
_SHIPPED = "shipped.json"
_INCOMING = ".incoming-"


class Models:
    """Takes in, lists and removes models.

    Args:
        folder: where they are kept.
        disk_bytes: asked for what they may take in all; None for no cap of the owner's.
        shipped: tells the models of installed packages.
    """

    def __init__(
        self,
        folder: Path,
        *,
        disk_bytes: Callable[[], int | None] = lambda: None,
        shipped: Callable[[], tuple[Shipped, ...]] = shipped_models,
    ) -> None:
        self.folder = folder
        self._disk_bytes = disk_bytes
        self._find_shipped = shipped
        self._kept: dict[str, Model] = {}
        self._shipped: dict[str, Model] = {}
        self._changing = asyncio.Lock()

    async def open(self) -> None:
        """Reads what is there. Models of packages are hashed when they are first met, which takes a moment."""
        self._kept, self._shipped = await asyncio.to_thread(self._read)

    def all(self) -> tuple[Model, ...]:
        """Every model, those of packages last."""
        return (*self._kept.values(), *(found for sha, found in self._shipped.items() if sha not in self._kept))

    def find(self, named: str) -> Model | None:
        """The model of this SHA-256, or else of this name."""
        models = self.all()
        by_hash = (model for model in models if model.sha256 == named)
        return next(by_hash, None) or next((model for model in models if model.name == named), None)

    def size_bytes(self) -> int:
        """Space that the models taken in occupy."""
        return sum(model.size_bytes for model in self._kept.values())

    async def import_file(
        self, path: Path, *, name: str = "", sha256: str = "", licence: str = "", progress: Progress | None = None
    ) -> Model:
        """Copies a model's file; cancelling the call leaves nothing behind.

        Args:
            name: what customers may ask for it by; by default what the file itself says.
            sha256: what the file must hash to, in hex; empty to take it as it is.
            licence: where the file does not tell.
            progress: called from the event loop with bytes copied and bytes in all.

        Raises:
            UserFacingError: it is no model that can be served, not the one expected, or there is no room.
        """
        expected = sha256.strip().lower()
        if expected and (len(expected) != 64 or set(expected) - set("0123456789abcdef")):
            raise UserFacingError("That is not a SHA-256.", "It has 64 hexadecimal digits.", code="bad-hash")
        async with self._changing:
            stop = threading.Event()
            notify = _in_loop(progress) if progress else None
            work = asyncio.create_task(asyncio.to_thread(self._take_in, path, name, expected, licence, notify, stop))
            try:
                model = await asyncio.shield(work)
            except asyncio.CancelledError:
                stop.set()
                while not work.done():  # also when it is cancelled again meanwhile: what was copied is being removed
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.wait({work})
                raise
            self._kept = {**self._kept, model.sha256: model}
            return model

    async def remove(self, sha256: str) -> None:
        """Deletes a model that was taken in.

        Raises:
            UserFacingError: there is none, or it belongs to a package.
        """
        async with self._changing:
            if sha256 not in self._kept:
                if sha256 in self._shipped:
                    raise UserFacingError(
                        "This model came with an installed package.", "Uninstall the package.", code="shipped"
                    )
                raise UserFacingError("There is no such model.", "", code="unknown-model", status=404)
            self._kept = {sha: model for sha, model in self._kept.items() if sha != sha256}
            await asyncio.to_thread(shutil.rmtree, self.folder / sha256, ignore_errors=True)

    # --- in a thread

    def _take_in(
        self, path: Path, name: str, expected: str, licence: str, notify: Progress | None, stop: threading.Event
    ) -> Model:
        path = path.expanduser()
        try:
            found, size = recognise(path), path.stat().st_size
            self._require_room(size)
            beside = Path(tempfile.mkdtemp(dir=self.folder, prefix=_INCOMING))
        except OSError as error:
            raise _unreadable(path, error) from error
        try:
            target = beside / ("model.gguf" if found.kind is WorkKind.CHAT else "model.onnx")
            sha256 = copy_and_hash(path, target, size, notify, stop)
            if expected and sha256 != expected:
                raise UserFacingError(
                    "The file is not the one that this SHA-256 names.", "Download it again.", code="wrong-hash"
                )
            if sha256 in self._kept:
                return self._kept[sha256]
            if found.tokenizer:
                shutil.copyfile(found.tokenizer, beside / TOKENIZER)
            model = _describe(found, sha256, size, name=name, licence=licence, path=path)
            write_atomically(beside / _DESCRIPTION, json.dumps(_row(model), indent=2).encode())
            place = self.folder / sha256
            shutil.rmtree(place, ignore_errors=True)
            beside.rename(place)
            return _placed(model, place)
        except OSError as error:
            raise _unreadable(path, error) from error
        except Cancelled:
            raise UserFacingError("The import was cancelled.", "", code="cancelled") from None
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _require_room(self, size: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        cap = self._disk_bytes()
        if cap is not None and self.size_bytes() + size > cap:
            raise UserFacingError(
                "The model would take more disk space than you allow for computing.",
                "Remove another model, or raise the cap in the controls.",
                code="disk-cap",
            )
        if shutil.disk_usage(self.folder).free - size < KEPT_FREE_BYTES:
            raise UserFacingError(
                "There is too little free space on the disk for this model.", "Free some space.", code="disk-full"
            )

    def _read(self) -> tuple[dict[str, Model], dict[str, Model]]:
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = {}
        for place in sorted(self.folder.iterdir()):
            if place.name.startswith(_INCOMING):
                shutil.rmtree(place, ignore_errors=True)
            elif place.is_dir() and (model := _read_row(place)):
                kept[model.sha256] = model
        return kept, self._read_shipped()

    def _read_shipped(self) -> dict[str, Model]:
        cache = self.folder / _SHIPPED
        known: dict[str, Any] = {}
        try:
            known = dict(json.loads(cache.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            log.debug("models of packages are hashed anew")
        models, hashed = {}, {}
        for found in self._find_shipped():
            state = found.path.stat()
            mark = [state.st_size, state.st_mtime_ns]
            entry = known.get(str(found.path))
            sha256 = str(entry[2]) if isinstance(entry, list) and entry[:2] == mark else hash_file(found.path)
            hashed[str(found.path)] = [*mark, sha256]
            header = _header_of(found)
            model = _describe(
                Format(found.kind, header, found.tokenizer),
                sha256,
                state.st_size,
                name=found.name,
                licence=found.licence,
                path=found.path,
            )
            models[sha256] = replace(model, path=found.path, tokenizer=found.tokenizer, shipped=True, added_at=0.0)
        if hashed != known:
            write_atomically(cache, json.dumps(hashed).encode())
        return models


def _header_of(found: Shipped) -> GgufHeader | None:
    try:
        return read_gguf(found.path) if found.kind is WorkKind.CHAT else None
    except BadGguf:
        return None


def _describe(found: Format, sha256: str, size: int, *, name: str, licence: str, path: Path) -> Model:
    header = found.header or GgufHeader("")
    return Model(
        sha256,
        found.kind,
        name=(name or header.name or path.stem).strip()[:100],
        path=path,
        size_bytes=size,
        licence=(licence or header.licence).strip()[:100],
        tokenizer=found.tokenizer,
        context_tokens=header.context_tokens,
        layers=header.layers,
        cache_bytes_per_token=header.cache_bytes_per_token,
        added_at=time.time(),
    )


def _placed(model: Model, place: Path) -> Model:
    """The model as it lies in its own folder."""
    file = "model.gguf" if model.kind is WorkKind.CHAT else "model.onnx"
    tokenizer = place / TOKENIZER if model.kind is WorkKind.EMBEDDING else None
    return replace(model, path=place / file, tokenizer=tokenizer)


def _row(model: Model) -> dict[str, Any]:
    row = asdict(model)
    return {name: row[name] for name in row if name not in ("path", "tokenizer", "shipped")}


def _read_row(place: Path) -> Model | None:
    """The model in a folder; None where it is not whole."""
    try:
        row = json.loads((place / _DESCRIPTION).read_text("utf-8"))
        model = Model(**{**row, "kind": WorkKind(row["kind"]), "path": place})
        model = _placed(model, place)
        whole = model.sha256 == place.name and model.path.stat().st_size == model.size_bytes
        return model if whole and (model.tokenizer is None or model.tokenizer.is_file()) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _in_loop(progress: Progress) -> Progress:
    loop = asyncio.get_running_loop()

    def notify(done: int, total: int) -> None:
        loop.call_soon_threadsafe(progress, done, total)

    return notify


def _unreadable(path: Path, error: OSError) -> UserFacingError:
    return UserFacingError(
        f"“{path.name}” cannot be taken in: {(error.strerror or 'it cannot be read').lower()}.",
        "Check the path and who may read the file.",
        code="unreadable",
    )
