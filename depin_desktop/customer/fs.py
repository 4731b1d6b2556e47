"""Stored files as an fsspec file system: `pandas.read_csv("depin://name.csv")`, `fsspec.open(…)`, dask, and so on.

Paths are the names by which files are listed, or locators. Reading fetches ranges; what is written is stored when the
file is closed. Everything runs on an event loop in a thread of its own, so it works from any program.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import os
import tempfile
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.home import Home
from depin_desktop.customer.catalogue import StoredFile
from depin_desktop.customer.locator import Locator
from depin_desktop.customer.session import DEFAULT_TERM_S, Customer

Result = TypeVar("Result")
PROTOCOL = "depin"
BLOCK_BYTES = 1 << 20


class _Runner:
    """An event loop in a thread, and the customer that lives on it."""

    def __init__(self, home: Home) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="depin fsspec", daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        self._closed = False
        try:
            self.customer: Customer = self.run(self._stack.enter_async_context(Customer.open(home)))
        except BaseException:
            self.close()
            raise
        atexit.register(self.close)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, from any thread but the loop's own."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


class DepinFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """What one home has stored, and anything that a locator names.

    Args:
        home: the home's folder; DEPIN_HOME or the platform's place where absent.
        code: (k, n) of what is written.
        term_s: for how long what is written is kept.
    """

    protocol = PROTOCOL
    root_marker = ""

    def __init__(
        self,
        home: str | os.PathLike[str] | None = None,
        code: tuple[int, int] = (1, 1),
        term_s: int = DEFAULT_TERM_S,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._home = Home.choose(home)
        self._code = code
        self._term_s = term_s
        self._runner: _Runner | None = None
        self._starting = threading.Lock()

    @property
    def _depin(self) -> _Runner:
        with self._starting:
            if self._runner is None:
                self._runner = _Runner(self._home)
            return self._runner

    def close(self) -> None:
        """Leaves the network; the next use joins again."""
        with self._starting:
            runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return str(path).removeprefix(f"{PROTOCOL}://").strip("/")

    # --- listing --------------------------------------------------------------------------------------------------

    def ls(self, path: str = "", detail: bool = True, **_: Any) -> list[Any]:
        """All files, or the one at `path`."""
        wanted: str = self._strip_protocol(path)
        if wanted:
            entries = [self.info(wanted)]
        else:
            files = self._depin.run(self._depin.customer.files())
            entries = list({file.name: _entry(file) for file in reversed(files)}.values())  # the newest of a name
        return entries if detail else [entry["name"] for entry in entries]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size and locator of a file. Raises FileNotFoundError."""
        path = self._strip_protocol(path)
        if not path:
            return {"name": "", "size": 0, "type": "directory"}
        depin = self._depin
        file = depin.run(depin.customer.find(path))
        if file is not None:
            return {**_entry(file), "name": path}
        locator = _as_locator(path)
        if locator is None:
            raise FileNotFoundError(path)
        size = depin.run(depin.customer.describe(locator))[1]
        return {"name": path, "size": size, "type": "file", "locator": locator}

    def created(self, path: str) -> Any:
        """When the file was stored, in Unix seconds."""
        return self.info(path).get("created")

    # --- reading and writing --------------------------------------------------------------------------------------

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """The file's bytes, or a range of them; negative positions count from the end."""
        entry = self.info(path)
        low, high, _step = slice(start, end).indices(entry["size"])
        return self._read(entry["locator"], low, max(0, high - low))

    def _read(self, locator: str, start: int, length: int) -> bytes:
        return self._depin.run(self._depin.customer.read(locator, start, length))

    def get_file(self, rpath: str, lpath: str, **_: Any) -> None:
        """Fetches a whole file."""
        self._depin.run(self._depin.customer.get(self.info(rpath)["locator"], lpath))

    def put_file(self, lpath: str, rpath: str, **_: Any) -> None:
        """Stores a local file under the name `rpath`."""
        name = self._strip_protocol(rpath)
        self._depin.run(self._depin.customer.put(lpath, name=name, code=self._code, term_s=self._term_s))

    def _rm(self, path: str) -> None:
        self._depin.run(self._depin.customer.remove(self.info(path)["locator"]))

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        path = self._strip_protocol(path)
        if mode == "rb":
            entry = self.info(path)
            return DepinFile(
                self, path, "rb", block_size or BLOCK_BYTES, cache_options=cache_options, size=entry["size"],
                locator=entry["locator"], **options,
            )  # fmt: skip
        if mode in ("wb", "xb"):
            if mode == "xb" and self.exists(path):
                raise FileExistsError(path)
            return DepinWriter(self, path)
        raise ValueError(f"files can be read (rb) or written anew (wb), not opened with {mode!r}")


class DepinFile(AbstractBufferedFile):  # type: ignore[misc]
    """A stored file opened for reading, with fsspec's read-ahead."""

    def __init__(self, *args: Any, locator: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._locator = locator

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(self.fs._read(self._locator, start, max(0, min(end, self.size) - start)))


class DepinWriter(io.FileIO):
    """What is written goes to a temporary file, and from there to providers when it is closed."""

    def __init__(self, file_system: DepinFileSystem, name: str) -> None:
        handle, self._temporary = tempfile.mkstemp(prefix="depin-")
        super().__init__(handle, "wb")
        self._file_system = file_system
        self._name = name
        self._discarded = False

    def discard(self) -> None:
        """Forgets what was written."""
        self._discarded = True
        self.close()

    def __exit__(self, kind: Any, value: Any, trace: Any) -> None:
        self._discarded = self._discarded or kind is not None  # a half-written file is not stored
        self.close()

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        try:
            if not self._discarded:
                self._file_system.put_file(self._temporary, self._name)
        finally:
            Path(self._temporary).unlink(missing_ok=True)


def _entry(file: StoredFile) -> dict[str, Any]:
    return {"name": file.name, "size": file.size, "type": "file", "locator": file.locator, "created": file.stored_at}


def _as_locator(path: str) -> str | None:
    """The locator that a path is, with or without its “depin:” before it."""
    for text in (path, f"{PROTOCOL}:{path}"):
        with contextlib.suppress(UserFacingError):
            return str(Locator.parse(text))
    return None


fsspec.register_implementation(PROTOCOL, DepinFileSystem, clobber=True)
