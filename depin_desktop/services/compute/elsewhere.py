"""What else on the owner's network does work for this node's offers: OpenAI-compatible servers, and a Ray cluster.

Addresses are only ever those that the owner named. Keys and tokens lie in one file of mode 0600 and nowhere else.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, SecretStr, ValidationError
from yarl import URL

from depin_desktop.api.compute import RAY, SERVER
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically

GCS_PORT, CLIENT_PORT = 6379, 10001  # Ray's own defaults
Secret = Annotated[SecretStr, PlainSerializer(SecretStr.get_secret_value, when_used="json")]
"""Written out in JSON, which is for our own file alone; masked in everything that is printed."""
_CLUSTER = re.compile(r"(?:(?P<scheme>ray)://)?(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+)(?::(?P<port>\d{1,5}))?/?")


def _new_id() -> str:
    return os.urandom(8).hex()


class Upstream(BaseModel):
    """One OpenAI-compatible server.

    Attributes:
        id: random; it tells this server from others in offers and receipts without telling where it is.
        url: its base, with the path that "/models" follows; as `base_url` gives it.
        key: sent as bearer token; empty for none.
        models: only these of its models are offered; empty for all.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(default_factory=_new_id)
    url: str
    key: Secret = SecretStr("")
    models: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """What its owner knows it by: its address, without what goes without saying."""
        url = URL(self.url)
        return f"{SERVER}{url.host_port_subcomponent}{'' if url.path == '/v1' else url.path}"


class Cluster(BaseModel):
    """One Ray cluster.

    Attributes:
        id: see `Upstream`.
        address: "host:port" of a cluster that this machine belongs to, or "ray://host:port" for the thin client.
        token: what the cluster was started with as RAY_AUTH_TOKEN; empty for none.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(default_factory=_new_id)
    address: str
    token: Secret = SecretStr("")

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port."""
        return self._url.host or "", self._url.port or 0

    @property
    def shown(self) -> str:
        """What its owner knows it by."""
        return f"{RAY}{self._url.host_port_subcomponent}"

    @property
    def _url(self) -> URL:
        return URL(self.address if "://" in self.address else f"gcs://{self.address}")


class Elsewhere(BaseModel):
    """Everything that the owner has connected."""

    model_config = ConfigDict(frozen=True)

    upstreams: tuple[Upstream, ...] = ()
    cluster: Cluster | None = None

    def with_upstream(self, url: str, key: str = "", models: tuple[str, ...] = ()) -> Elsewhere:
        """With this server too; one that is known at this address keeps its identity, and its key unless given anew.

        Raises:
            UserFacingError: the address is no base URL.
        """
        base = base_url(url)
        known = next((upstream for upstream in self.upstreams if upstream.url == base), None)
        secret = known.key if known is not None and not key else SecretStr(key)
        identity = _new_id() if known is None else known.id
        others = tuple(upstream for upstream in self.upstreams if upstream.url != base)
        return self.model_copy(
            update={"upstreams": (*others, Upstream(id=identity, url=base, key=secret, models=models))}
        )

    def without_upstream(self, url: str) -> Elsewhere:
        """Without the server at this address.

        Raises:
            UserFacingError: there is none.
        """
        base = base_url(url)
        left = tuple(upstream for upstream in self.upstreams if upstream.url != base)
        if len(left) == len(self.upstreams):
            raise UserFacingError(
                f"No server at {base} is connected.", "See what is: depin compute models", code="unknown-upstream"
            )
        return self.model_copy(update={"upstreams": left})

    def with_cluster(self, address: str, token: str = "") -> Elsewhere:
        """With this Ray cluster in place of the one before.

        Raises:
            UserFacingError: the address is none of Ray's.
        """
        named = cluster_address(address)
        same = self.cluster is not None and self.cluster.address == named
        identity = self.cluster.id if self.cluster is not None and same else _new_id()
        return self.model_copy(update={"cluster": Cluster(id=identity, address=named, token=SecretStr(token))})

    def without_cluster(self) -> Elsewhere:
        """Without a Ray cluster."""
        return self.model_copy(update={"cluster": None})


def base_url(text: str) -> str:
    """The base URL that a person meant: http or https, one host, and "/v1" where no path is named.

    Raises:
        UserFacingError: it is no such address.
    """
    try:
        url = URL(text.strip())
        usable = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise UserFacingError(
            f"“{text}” is not the address of an OpenAI-compatible server.",
            "Write it like http://192.168.1.20:8000/v1.",
            code="bad-upstream",
        )
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise UserFacingError(
            "The server's address may hold neither a name and password nor a query.",
            "Give the key by itself: --upstream-key-file, or DEPIN_UPSTREAM_KEY.",
            code="bad-upstream",
        )
    path = url.path.rstrip("/")
    return str(url.with_path(path or "/v1"))


def cluster_address(text: str) -> str:
    """The address of a Ray cluster, with Ray's own port where none is named.

    Raises:
        UserFacingError: it is no such address.
    """
    found = _CLUSTER.fullmatch(text.strip())
    port = int(found["port"]) if found and found["port"] else 0
    if found is None or port > 65535 or found["host"] in ("auto", "local"):
        # "auto" and "local" would find or start a cluster that the owner has not named.
        raise UserFacingError(
            f"“{text}” is not the address of a Ray cluster.",
            f"Write it like 192.168.1.20:{GCS_PORT}, or ray://192.168.1.20:{CLIENT_PORT} from outside the cluster.",
            code="bad-cluster",
        )
    if found["scheme"]:
        return f"ray://{found['host']}:{port or CLIENT_PORT}"
    return f"{found['host']}:{port or GCS_PORT}"


def load(path: Path) -> Elsewhere:
    """What was saved; nothing where nothing was.

    Raises:
        UserFacingError: the file cannot be read or is none of ours.
    """
    try:
        return Elsewhere.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Elsewhere()
    except (OSError, ValidationError):  # whose text would hold the keys
        raise UserFacingError(
            f"The list of connected servers in {path} cannot be read.",
            "Move the file away and connect them again.",
            code="elsewhere-unreadable",
            status=500,
        ) from None


def save(path: Path, elsewhere: Elsewhere) -> None:
    """Writes it for the user's eyes only (mode 0600)."""
    write_atomically(path, elsewhere.model_dump_json(indent=2).encode(), private=True)
