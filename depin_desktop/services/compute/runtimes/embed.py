"""In a worker: vectors for texts, by a sentence model in ONNX with its tokenizer. Mean pooling, length one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import tokenizers

from depin_desktop.services.compute.runtimes.engine import Refused, Task, bad_input
from depin_desktop.services.compute.runtimes.sessions import Session

MAX_TOKENS = 256
"""Of one text; the rest of a longer one is not read, as its vector would say less and less."""
MAX_TEXTS = 2048
MAX_BYTES = 8 << 20
_BATCH_TOKENS = 8192
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})


def load(settings: Mapping[str, Any]) -> EmbedEngine:
    """Loads model and tokenizer.

    Raises:
        Refused: one of them cannot be loaded.
    """
    try:
        tokenizer = tokenizers.Tokenizer.from_file(settings["tokenizer"])
    except Exception as error:  # the binding raises plain `Exception`
        raise Refused("crashed", "The model's tokenizer cannot be loaded.") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    session = Session(settings["path"], threads=int(settings["threads"]), gpu=bool(settings["gpu"]))
    if not {entry.name for entry in session.inputs} <= _INPUTS:
        raise Refused("crashed", "The model does not take tokens of text.")
    return EmbedEngine(session, tokenizer)


class EmbedEngine:
    """One loaded sentence model."""

    concurrent = False

    def __init__(self, session: Session, tokenizer: tokenizers.Tokenizer) -> None:
        self._session = session
        self._tokenizer = tokenizer

    def describe(self) -> dict[str, Any]:
        return {"engine": self._session.engine, "device": self._session.device}

    def cancel(self, _task: Task) -> None:
        self._session.stop()

    def run(self, task: Task) -> bytes:
        texts, as_base64 = _request(task.body)
        encoded = self._tokenizer.encode_batch(texts)
        vectors: list[Any] = [None] * len(texts)
        for batch in _batches([len(entry.ids) for entry in encoded]):
            if task.cancelled.is_set():
                raise Refused("time-limit", "The job was interrupted.")
            if task.prompt_tokens:
                task.progress()
            for place, vector in zip(batch, self._vectors([encoded[place] for place in batch]), strict=True):
                vectors[place] = vector
            task.prompt_tokens += sum(len(encoded[place].ids) for place in batch)
        data = [
            {"object": "embedding", "index": index, "embedding": _said(vector, as_base64=as_base64)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": task.prompt_tokens, "total_tokens": task.prompt_tokens}
        answer = {"object": "list", "data": data, "model": str(task.body.get("model") or ""), "usage": usage}
        return json.dumps(answer, separators=(",", ":")).encode()

    def _vectors(self, batch: list[Any]) -> Any:
        """One vector of length one for each text: the mean over its tokens."""
        width = max(len(entry.ids) for entry in batch)
        ids = np.zeros((len(batch), width), np.int64)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for row, entry in enumerate(batch):
            count = len(entry.ids)
            ids[row, :count], mask[row, :count], types[row, :count] = entry.ids, 1, entry.type_ids
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        hidden = self._session.run({entry.name: given[entry.name] for entry in self._session.inputs})[0]
        if hidden.ndim == 3:
            weights = mask[:, :, None].astype(np.float32)
            hidden = (hidden * weights).sum(1) / np.maximum(weights.sum(1), 1e-9)
        return hidden / np.maximum(np.linalg.norm(hidden, axis=1, keepdims=True), 1e-12)


def _request(body: Mapping[str, Any]) -> tuple[list[str], bool]:
    said = body.get("input")
    texts = [said] if isinstance(said, str) else said
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise bad_input("“input” must be a text or a list of texts, none of them empty.")
    if len(texts) > MAX_TEXTS or sum(map(len, texts)) > MAX_BYTES:
        raise bad_input(f"At most {MAX_TEXTS} texts of {MAX_BYTES >> 20} million letters in all are taken at once.")
    if body.get("dimensions") is not None:
        raise bad_input("This model has vectors of one size: leave “dimensions” out.")
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise bad_input("“encoding_format” must be “float” or “base64”.")
    return texts, form == "base64"


def _batches(lengths: list[int]) -> list[list[int]]:
    """Places of texts, those of like length together, so that little is computed for padding."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    batches: list[list[int]] = [[]]
    for place in order:
        if batches[-1] and (len(batches[-1]) + 1) * lengths[place] > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(place)
    return batches


def _said(vector: Any, *, as_base64: bool) -> str | list[float]:
    if as_base64:
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.astype(np.float32).tolist()
    return numbers
