"""The networks that a home knows: added from a file or an address, listed, and changed between.

One network is in use at a time. Each has its own files (`Home.place`), so that nothing of one is ever booked, claimed
or proven on another; the keys are shared.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
from filelock import FileLock, Timeout

from depin_desktop.api.models import Snapshot
from depin_desktop.chain.network import Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically
from depin_desktop.core.home import NETWORK_NAME, Home
from depin_desktop.wallet.joining import ORIGIN

LARGEST_PROFILE = 64 * 1024
FETCH_TIMEOUT_S = 15.0
REDIRECTS = 4
_MOVED = (301, 302, 303, 307, 308)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class KnownNetwork(Snapshot):
    """One network of a home; `node` is its node's host, without the credentials that an address may hold."""

    name: str
    title: str  # what its operator calls it
    chain_id: int
    node: str
    private: bool
    in_use: bool


def known(home: Home) -> tuple[KnownNetwork, ...]:
    """The networks of this home, the one that it joined first in front. Blocking."""
    return tuple(_describe(home, name, folder, profile) for name, (folder, profile) in _profiles(home).items())


def profile_of(home: Home, name: str | None = None) -> Network:
    """The profile of a network that was added, or of the one in use. Blocking.

    Raises:
        UserFacingError: "no-network" where there is none, "unknown-network" where none has this name.
    """
    profiles = _profiles(home)
    if name is not None:
        return _find(profiles, name)[1]
    for folder, profile in profiles.values():
        if folder == home.place:
            return profile
    raise UserFacingError(
        "This home has no network.", "Add one with `depin network add FILE`.", code="no-network", status=404
    )


async def read_profile(source: str) -> Network:
    """A profile from a path, or from an https address (http on this machine).

    Raises:
        UserFacingError: "bad-network-file", "network-file-unreachable", or "insecure-address": whoever could change the
            file on its way could have all payments.
    """
    if "://" not in source:
        return await asyncio.to_thread(lambda: Network.load(Path(source).expanduser()))
    try:
        timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            content = await _fetch(session, source)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
        raise UserFacingError(
            f"The network file at {urlsplit(source).hostname} cannot be fetched.",
            "Check the address and the connection, or download the file and add it from disk.",
            code="network-file-unreachable",
            status=503,
        ) from error
    if len(content) > LARGEST_PROFILE:
        raise UserFacingError(
            f"What {source} answers is too large for a network file.", "Check the address.", code="bad-network-file"
        )
    return Network.parse(content, source)


async def _fetch(session: aiohttp.ClientSession, address: str) -> bytes:
    for _ in range(REDIRECTS):
        _check_address(address)  # of every step: one over plain http could be anybody's
        async with session.get(address, allow_redirects=False) as response:
            if response.status in _MOVED:
                address = urljoin(address, response.headers["Location"])
                continue
            response.raise_for_status()
            content = bytearray()
            async for chunk in response.content.iter_chunked(16 * 1024):
                content += chunk
                if len(content) > LARGEST_PROFILE:
                    break
            return bytes(content)
    raise ValueError("too many redirections")


def _check_address(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return
    raise UserFacingError(
        "A network file must come over https.",
        "Ask the network's operator for an https address, or add the file from disk.",
        code="insecure-address",
    )


def add(home: Home, profile: Network, *, name: str | None = None, source: Path | None = None) -> KnownNetwork:
    """Adds a network, or brings one that is known up to date; a home's first network is in use at once. Blocking.

    Args:
        name: by which it is called here; made from its title where absent.
        source: the file it came from, which is followed when it changes.

    Raises:
        UserFacingError: "bad-name"; "name-taken" when another network has this name here.
    """
    profiles = _profiles(home)
    for known_name, (folder, present) in profiles.items():
        if present.same_as == profile.same_as:
            _write(folder, profile, source)
            return _describe(home, known_name, folder, profile)
    chosen = slug(profile.name) if name is None else name
    if not NETWORK_NAME.match(chosen):
        raise UserFacingError(
            f"“{chosen}” cannot name a network.", "Use a-z, 0-9 and hyphens, at most 40 of them.", code="bad-name"
        )
    if chosen in profiles:
        raise UserFacingError(
            f"Another network is called {chosen} here.", "Give this one another name with --name.", code="name-taken"
        )
    folder = home.networks / chosen if profiles else home.place
    _write(folder, profile, source)
    return _describe(home, chosen, folder, profile)


def use(home: Home, name: str) -> KnownNetwork:
    """Changes the home to another network that it knows. Blocking.

    Raises:
        UserFacingError: "unknown-network"; "engine-running", for an engine must not lose its network under way.
    """
    folder, profile = _find(_profiles(home), name)
    lock = FileLock(home.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserFacingError(
            "An engine is running on this home.", "Stop it first, then try again.", code="engine-running", status=409
        ) from error
    with lock:
        if folder == home.root:
            home.network_in_use.unlink(missing_ok=True)
        elif folder != home.place:
            write_atomically(home.network_in_use, folder.name.encode())
    return _describe(home, name, folder, profile)


def slug(title: str) -> str:
    """A network's title as a name: "Moon Network 2" → "moon-network-2"."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "network"


def _profiles(home: Home) -> dict[str, tuple[Path, Network]]:
    """Folder and profile by name; raises UserFacingError for a damaged profile, and names it."""
    found: dict[str, tuple[Path, Network]] = {}
    first = home.root / "network.json"
    if first.exists():
        profile = Network.load(first)
        found[slug(profile.name)] = home.root, profile
    folders = sorted(home.networks.iterdir()) if home.networks.is_dir() else []
    for folder in folders:
        if (folder / "network.json").exists():
            found[folder.name] = folder, Network.load(folder / "network.json")
    return found


def _find(profiles: dict[str, tuple[Path, Network]], name: str) -> tuple[Path, Network]:
    if name not in profiles:
        raise UserFacingError(
            f"This home knows no network called {name}.",
            f"It knows: {', '.join(profiles) or 'none'}. Add one with `depin network add FILE`.",
            code="unknown-network",
            status=404,
        )
    return profiles[name]


def _write(folder: Path, profile: Network, source: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # Private, for a node's address may hold the key to an account there.
    write_atomically(folder / "network.json", profile.model_dump_json(indent=2).encode(), private=True)
    if source is not None:
        write_atomically(folder / ORIGIN, str(source.expanduser().absolute()).encode())


def _describe(home: Home, name: str, folder: Path, profile: Network) -> KnownNetwork:
    return KnownNetwork(
        name=name,
        title=profile.name,
        chain_id=profile.chain_id,
        node=urlsplit(profile.rpc_url).netloc.rpartition("@")[2],
        private=profile.private,
        in_use=folder == home.place,
    )
