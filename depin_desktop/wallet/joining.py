"""Which network a home belongs to: a copy of its network file, which follows the original when that changes.

A local network that had to take other ports writes its file anew; homes that joined it find it again by themselves.
"""

from __future__ import annotations

import logging
from pathlib import Path

from depin_desktop.chain.network import Network
from depin_desktop.core.errors import UserFacingError
from depin_desktop.core.files import write_atomically
from depin_desktop.core.home import Home

log = logging.getLogger(__name__)

ORIGIN = "network.origin"  # holds the path of the file that was joined


def join(home: Home, network_path: Path) -> Network:
    """Copies a network file into the home and remembers where it came from. Blocking.

    Raises:
        UserFacingError: it is no network file, or the home already belongs to another network.
    """
    network = Network.load(network_path)
    if home.network.exists() and not _same(Network.load(home.network), network):
        raise UserFacingError(
            f"{home.root} belongs to another network already.",
            "Add it with `depin network add` and change to it with `depin network use`, or choose another home for it"
            " with --home.",
            code="other-network",
            status=409,
        )
    original = network_path.absolute()
    if original != home.network:
        write_atomically(home.network, original.read_bytes())
        write_atomically(_origin_file(home), str(original).encode())
    return network


def joined_network(home: Home) -> Network:
    """The home's network, brought up to date from the original file if that is newer. Blocking.

    Raises:
        UserFacingError: the home has joined no network, or its file is damaged.
    """
    try:
        origin = Path(_origin_file(home).read_text("utf-8"))
        if origin.stat().st_mtime > home.network.stat().st_mtime:
            newer = Network.load(origin)
            if _same(newer, Network.load(home.network)):
                write_atomically(home.network, origin.read_bytes())
            else:
                log.warning("%s now describes another network; this home stays with its own", origin)
    except (OSError, UserFacingError) as error:
        log.debug("the original network file cannot be used: %s", error)
    return Network.load(home.network)


def _same(one: Network, other: Network) -> bool:
    return one.same_as == other.same_as


def _origin_file(home: Home) -> Path:
    return home.place / ORIGIN
