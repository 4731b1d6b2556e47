"""Any fsspec user opens stored files by name or locator, from a plain synchronous program."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pandas
import pytest

from depin_desktop.core.home import Home
from depin_desktop.customer.fs import DepinFileSystem

from .customer_world import content, sellers


@pytest.fixture
def files(network, make_home) -> Iterator[DepinFileSystem]:  # type: ignore[no-untyped-def]
    """A file system whose providers live on an event loop of their own, as they would in another process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()

    async def start() -> Home:
        await stack.enter_async_context(sellers(make_home, network, 1))
        return await make_home("customer")

    home = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    opened = DepinFileSystem(home=home.root, skip_instance_cache=True)
    yield opened
    opened.close()
    asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_pandas_writes_and_reads_by_name(files: DepinFileSystem) -> None:
    options = {"home": str(files._home.root)}
    frame = pandas.DataFrame({"cell": ["a", "b"], "reading": [1.5, 2.5]})
    frame.to_csv("depin://readings.csv", index=False, storage_options=options)
    back = pandas.read_csv("depin://readings.csv", storage_options=options)
    pandas.testing.assert_frame_equal(back, frame)
    other = fsspec.filesystem("depin", **options)
    assert isinstance(other, DepinFileSystem)
    other.close()


def test_files_are_listed_read_in_ranges_and_removed(files: DepinFileSystem) -> None:
    data = content(3_000_000)
    with files.open("depin://big.bin", "wb") as file:
        file.write(data)
    assert files.ls("", detail=False) == ["big.bin"]
    entry = files.info("big.bin")
    assert (entry["size"], entry["type"]) == (len(data), "file")
    with files.open("big.bin", "rb") as file:
        file.seek(2_000_000)
        assert file.read(100) == data[2_000_000:2_000_100]
        file.seek(-10, 2)
        assert file.read() == data[-10:]
    assert files.cat_file("big.bin", 5, 10) == data[5:10]
    assert files.cat_file("big.bin", -10) == data[-10:]
    assert files.cat(entry["locator"]) == data
    assert files.cat_file("depin://" + entry["locator"].removeprefix("depin:"), 0, 3) == data[:3]
    assert files.exists("big.bin")
    files.rm("big.bin")
    assert not files.exists("big.bin")
    assert files.ls("", detail=False) == []


def test_what_is_not_there_or_not_possible_is_said(files: DepinFileSystem, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.open("nothing.csv")
    with pytest.raises(ValueError, match="ab"):
        files.open("nothing.csv", "ab")
    with contextlib.suppress(RuntimeError), files.open("half.bin", "wb") as file:
        file.write(b"x")
        raise RuntimeError  # the writer failed: half a file is not stored
    assert not files.exists("half.bin")
    (tmp_path / "local").write_bytes(b"hello")
    files.put(str(tmp_path / "local"), "depin://remote")
    files.get("depin://remote", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == b"hello"
