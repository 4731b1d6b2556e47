"""What buying work gives back, to be used from Python and shown as JSON. Money in base units, times in seconds."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from depin_desktop.api.models import Money
from depin_desktop.customer.compute import agreement
from depin_desktop.customer.compute.asks import TextAsk
from depin_desktop.customer.compute.exchange import Delivered
from depin_desktop.customer.compute.hosts import WASM
from depin_desktop.customer.compute.scores import ScoreRow, Spending
from depin_desktop.net.offers import NodeOffer

if TYPE_CHECKING:
    import numpy


class Answer(BaseModel):
    """What every piece of work tells: who did it, for how much, and under which receipt.

    Attributes:
        model: the name under which it was offered; of a WASM job the module's SHA-256.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    provider: str
    job: str
    model: str
    engine: str
    charged: Money
    seconds: float


class Reply(Answer):
    """Generated text."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int

    @classmethod
    def of(cls, delivered: Delivered) -> Reply:
        """The text of an answer, streamed or whole."""
        read, usage = TextAsk.read(delivered.data), delivered.receipt.usage
        return cls(
            **_about(delivered),
            text=read.text,
            finish_reason=read.finish_reason,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )


class Vectors(Answer):
    """Embeddings, in the order of their texts."""

    vectors: list[list[float]]
    prompt_tokens: int

    @classmethod
    def of(cls, delivered: Delivered) -> Vectors:
        """The vectors of an answer. Raises ValueError where it holds none."""
        found = agreement.vectors(json.loads(delivered.data))
        return cls(**_about(delivered), vectors=found, prompt_tokens=delivered.receipt.usage.prompt_tokens)


class JobResult(Answer):
    """What a WASM job wrote to standard output; base64 in JSON where it is no text."""

    output: bytes = Field(repr=False)
    fuel: int

    @field_serializer("output", when_used="json")
    def _shown(self, output: bytes) -> str:
        try:
            return output.decode()
        except UnicodeDecodeError:
            return base64.b64encode(output).decode()

    @classmethod
    def of(cls, delivered: Delivered) -> JobResult:
        """The output of an answer."""
        return cls(**_about(delivered), output=delivered.data, fuel=delivered.receipt.usage.fuel)


class Arrays(Answer):
    """What an ONNX model gave, by the names of its outputs; `npz` is the same as a file."""

    npz: bytes = Field(repr=False, exclude=True)

    @property
    def outputs(self) -> dict[str, numpy.ndarray]:
        import numpy

        with numpy.load(io.BytesIO(self.npz), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    @classmethod
    def of(cls, delivered: Delivered) -> Arrays:
        """The arrays of an answer."""
        return cls(**_about(delivered), npz=delivered.data)


def _about(delivered: Delivered) -> dict[str, Any]:
    host, receipt = delivered.host, delivered.receipt
    return {
        "provider": host.owner,
        "job": receipt.job,
        "model": host.model.name if host.model is not None else receipt.model,
        "engine": receipt.engine,
        "charged": delivered.charged,
        "seconds": delivered.seconds,
    }


# --- what is there ---------------------------------------------------------------------------------------------------


class OfferedModel(BaseModel):
    """A model, or WASM, as the market offers it now: the lowest prices and the highest measured rate.

    Attributes:
        sha256: of the model's file; empty for WASM.
        rate: tokens a second (ONNX: runs, WASM: fuel).
    """

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    sha256: str = ""
    providers: int
    context_tokens: int = 0
    rate: float = 0.0
    price_in_per_mtoken: Money = 0
    price_out_per_mtoken: Money = 0
    price_per_run_second: Money = 0
    price_per_gfuel: Money = 0


def offered(nodes: Iterable[NodeOffer]) -> list[OfferedModel]:
    """Everything that is offered, once each."""
    found: dict[tuple[str, str, str], list[OfferedModel]] = {}
    for node in nodes:
        if node.compute is None:
            continue
        one = [
            OfferedModel(**model.model_dump(include=set(OfferedModel.model_fields)), providers=1)
            for model in node.compute.models
        ]
        if (wasm := node.compute.wasm) is not None:
            one.append(
                OfferedModel(
                    name=WASM,
                    kind=WASM,
                    providers=1,
                    rate=wasm.rate,
                    price_per_run_second=wasm.price_per_second,
                    price_per_gfuel=wasm.price_per_gfuel,
                )
            )
        for model in one:
            found.setdefault((model.kind, model.name, model.sha256), []).append(model)
    return [_together(each) for _, each in sorted(found.items())]


def _together(models: list[OfferedModel]) -> OfferedModel:
    prices = {name: min(getattr(it, name) for it in models) for name in OfferedModel.model_fields if "price" in name}
    bounds = {name: max(getattr(it, name) for it in models) for name in ("rate", "context_tokens")}
    return models[0].model_copy(update={**prices, **bounds, "providers": len(models)})


class Seen(BaseModel):
    """What this home has seen of those who sell computing, and what finding it out has cost."""

    model_config = ConfigDict(frozen=True)

    providers: tuple[ScoreRow, ...]
    spending: Spending
