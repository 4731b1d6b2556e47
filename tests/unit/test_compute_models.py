"""The model manager: what it takes in, what it refuses, and that a model is there as a whole or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import pickle
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depin_desktop.core.errors import UserFacingError
from depin_desktop.services.compute.models import Models
from depin_desktop.services.compute.models.gguf import BadGguf, parse_gguf
from depin_desktop.services.compute.runtimes.base import WorkKind

ONNX = b"\x08\x07" + b"graph" * 1000
MIB = 1 << 20


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key: str, value: str | int) -> bytes:
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    return text(key) + struct.pack("<II", 4, value)


def gguf(*entries: bytes, version: int = 3, tensors: int = 0, count: int | None = None) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, len(entries) if count is None else count)
    return head + b"".join(entries)


LLAMA = (
    entry("general.architecture", "llama"),
    entry("general.name", "Tiny"),
    entry("general.license", "apache-2.0"),
    entry("llama.context_length", 2048),
    entry("llama.block_count", 4),
    entry("llama.embedding_length", 64),
    entry("llama.attention.head_count", 8),
    entry("llama.attention.head_count_kv", 2),
)


@pytest.fixture
async def models(tmp_path: Path) -> Models:
    models = Models(tmp_path / "models", shipped=lambda: ())
    await models.open()
    return models


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def left(models: Models) -> list[str]:
    return sorted(path.name for path in models.folder.iterdir() if path.name != "shipped.json")


async def test_a_model_is_taken_in_described_kept_and_removed(models: Models, tmp_path: Path) -> None:
    path = written(tmp_path, "tiny.gguf", gguf(*LLAMA))
    told: list[tuple[int, int]] = []
    model = await models.import_file(path, progress=lambda done, total: told.append((done, total)))
    await asyncio.sleep(0)
    assert (model.name, model.licence, model.kind) == ("Tiny", "apache-2.0", WorkKind.CHAT)
    assert (model.context_tokens, model.layers, model.cache_bytes_per_token) == (2048, 4, 2 * 4 * 2 * (8 + 8))
    assert model.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert told == [(model.size_bytes, model.size_bytes)]
    path.unlink()
    again = Models(models.folder, shipped=lambda: ())
    await again.open()
    assert again.all() == (model,)
    assert again.find(model.sha256) == again.find("Tiny") == model
    assert model.path.read_bytes() == gguf(*LLAMA)
    await again.remove(model.sha256)
    assert again.all() == ()
    assert left(again) == []
    with pytest.raises(UserFacingError):
        await again.remove(model.sha256)


async def test_taking_a_model_in_twice_keeps_it_once(models: Models, tmp_path: Path) -> None:
    path = written(tmp_path, "tiny.gguf", gguf(*LLAMA))
    first = await models.import_file(path)
    assert await models.import_file(path, name="another") == first
    assert left(models) == [first.sha256]


async def test_an_onnx_model_with_a_tokenizer_beside_it_makes_embeddings(models: Models, tmp_path: Path) -> None:
    path = written(tmp_path, "mini.onnx", ONNX)
    assert (await models.import_file(path, licence="MIT")).kind is WorkKind.ONNX
    path = written(tmp_path, "other.onnx", ONNX + b"x")
    written(tmp_path, "tokenizer.json", b"{}")
    model = await models.import_file(path, licence="MIT")
    assert model.kind is WorkKind.EMBEDDING
    assert model.licence == "MIT"
    assert model.tokenizer == models.folder / model.sha256 / "tokenizer.json"
    assert model.tokenizer.read_bytes() == b"{}"


@pytest.mark.parametrize("name", ["model.pt", "model.bin", "model.gguf", "model"])
async def test_a_pickle_is_never_taken(models: Models, tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, pickle.dumps({"weights": [1.0] * 100}))
    with pytest.raises(UserFacingError, match="pickle"):
        await models.import_file(path)
    assert left(models) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"a text that is no model at all",
        gguf(*LLAMA, version=1),
        gguf(*LLAMA, version=0x03000000),
        gguf(*LLAMA, count=2**60),
        gguf(*LLAMA, tensors=2**60),
        gguf(*LLAMA, count=len(LLAMA) + 1),
        gguf(struct.pack("<Q", 2**62) + b"key"),
        gguf(text("key") + struct.pack("<IQ", 8, 2**62)),
        gguf(text("key") + struct.pack("<IIQ", 9, 4, 2**62)),
        gguf(text("key") + struct.pack("<IIQ", 9, 9, 1)),
        gguf(text("key") + struct.pack("<I", 99)),
        gguf(entry("general.name", "without an architecture")),
        gguf(entry("general.architecture", "bert")),
    ],
)
async def test_what_is_no_usable_model_is_refused_with_a_sentence(models: Models, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UserFacingError) as refused:
        await models.import_file(written(tmp_path, "model.gguf", data))
    assert refused.value.code == "bad-model"
    assert refused.value.remedy
    assert left(models) == []


@given(st.binary(max_size=400), st.integers(0, 300))
def test_no_header_does_anything_but_be_read_or_refused(data: bytes, at: int) -> None:
    whole = bytearray(gguf(*LLAMA))
    whole[at : at + len(data)] = data
    header = None
    with contextlib.suppress(BadGguf):
        header = parse_gguf(io.BytesIO(bytes(whole)))
    assert header is None or (len(header.name) <= 200 and 0 <= header.context_tokens < 2**31)


async def test_a_file_that_is_not_the_one_named_is_not_taken(models: Models, tmp_path: Path) -> None:
    path = written(tmp_path, "tiny.gguf", gguf(*LLAMA))
    with pytest.raises(UserFacingError, match="not the one"):
        await models.import_file(path, sha256="0" * 64)
    with pytest.raises(UserFacingError, match="not a SHA-256"):
        await models.import_file(path, sha256="abc")
    assert left(models) == []
    assert await models.import_file(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest().upper())


async def test_the_disk_budget_holds(tmp_path: Path) -> None:
    models = Models(tmp_path / "models", disk_bytes=lambda: 8000, shipped=lambda: ())
    await models.open()
    await models.import_file(written(tmp_path, "one.onnx", ONNX))
    with pytest.raises(UserFacingError) as refused:
        await models.import_file(written(tmp_path, "two.onnx", ONNX + b"x"))
    assert refused.value.code == "disk-cap"
    assert models.size_bytes() == len(ONNX)


async def test_a_cancelled_import_leaves_nothing(models: Models, tmp_path: Path) -> None:
    path = written(tmp_path, "large.onnx", ONNX + bytes(64 * MIB))
    importing: asyncio.Task[object]
    importing = asyncio.create_task(models.import_file(path, progress=lambda *_: importing.cancel() and None))
    with pytest.raises(asyncio.CancelledError):
        await importing
    assert left(models) == []
    assert models.all() == ()


async def test_what_a_crash_left_half_copied_is_thrown_away(models: Models, tmp_path: Path) -> None:
    model = await models.import_file(written(tmp_path, "tiny.gguf", gguf(*LLAMA)))
    half = models.folder / ".incoming-abc"
    half.mkdir()
    (half / "model.gguf").write_bytes(b"GG")
    again = Models(models.folder, shipped=lambda: ())
    await again.open()
    assert left(again) == [model.sha256]
    model.path.write_bytes(b"GGUF")  # damaged: not listed any more
    await again.open()
    assert again.all() == ()


async def test_a_missing_file_is_told_in_words(models: Models, tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match=r"no such file"):
        await models.import_file(tmp_path / "none.gguf")
    with pytest.raises(UserFacingError):
        await models.import_file(tmp_path)


async def test_models_of_packages_are_listed_and_stay(tmp_path: Path) -> None:
    models = Models(tmp_path / "models")
    await models.open()
    for model in models.all():
        assert model.shipped
        assert model.licence
        with pytest.raises(UserFacingError, match="installed package"):
            await models.remove(model.sha256)
