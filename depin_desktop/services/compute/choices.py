"""What the owner has chosen to sell, and at what prices; kept in rows, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from depin_desktop.api.compute import ShareCompute
from depin_desktop.chain.network import Network
from depin_desktop.services.compute import policy
from depin_desktop.services.compute.policy import Prices
from depin_desktop.services.compute.runtimes.base import WorkKind

_FLAGS = ("shared", "chat", "embeddings", "onnx", "wasm")


def suggested(network: Network) -> Prices:
    """What a network suggests where the owner has set nothing."""
    return Prices(
        price_in_per_mtoken=network.suggested_price_in_per_mtoken,
        price_out_per_mtoken=network.suggested_price_out_per_mtoken,
        price_per_run_second=network.suggested_price_per_run_second,
        price_per_gfuel=network.suggested_price_per_gfuel,
    )


@dataclass(frozen=True)
class Choices:
    """What is sold, and for what."""

    prices: Prices
    shared: bool = False
    chat: bool = True
    embeddings: bool = True
    onnx: bool = True
    wasm: bool = True

    def sells(self, kind: WorkKind) -> bool:
        """Whether the owner sells this kind of work."""
        return self.shared and policy.wanted(
            kind, chat=self.chat, embeddings=self.embeddings, onnx=self.onnx, wasm=self.wasm
        )

    def with_shared(self, request: ShareCompute) -> Choices:
        """With what the owner asks for now."""
        wished = request.model_dump(include={field.name for field in fields(Prices)})
        flags = {name: wish for name in _FLAGS[1:] if (wish := getattr(request, name)) is not None}
        return replace(self, shared=True, prices=self.prices.changed(wished), **flags)

    def without_sharing(self) -> Choices:
        """With nothing sold; prices and kinds are remembered."""
        return replace(self, shared=False)

    def rows(self) -> dict[str, str]:
        """For the database."""
        flags = {name: str(int(getattr(self, name))) for name in _FLAGS}
        return flags | {name: str(value) for name, value in asdict(self.prices).items()}

    @staticmethod
    def of(rows: Mapping[str, str], network: Network) -> Choices:
        """As they were kept; what was never chosen is as the network suggests."""
        prices = suggested(network).changed(
            {name: int(rows[name]) for name in asdict(suggested(network)) if name in rows}
        )
        return Choices(prices, **{name: rows[name] == "1" for name in _FLAGS if name in rows})
