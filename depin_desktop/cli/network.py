"""`depin network …`: the networks that this home knows, and founding a new one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from depin_desktop.cli.output import AbsolutePath, Context, command, table

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from depin_desktop.chain.checkup import Finding
    from depin_desktop.chain.network import RelayerProfile

DAY_S = 86_400
HOUR_S = 3600
HUB_TIMEOUT_S = 5.0
_MARKS = {True: "ok", None: "note", False: "FAILS"}


def register(root: click.Group) -> None:
    root.add_command(network)


@click.group()
def network() -> None:
    """The networks that this home knows. One is in use at a time; each keeps its own records."""


@network.command("list")
@command
def list_(context: Context) -> None:
    """List them."""
    from depin_desktop.wallet.networks import known

    found = known(context.home)
    rows = [
        ("*" if one.in_use else " ", one.name, one.title, f"chain {one.chain_id}", one.node, _worth(one.private))
        for one in found
    ]
    context.answer(found, table(rows) or "None yet: depin network add FILE")


def _worth(private: bool) -> str:
    return "tokens without value" if private else ""


@network.command()
@click.argument("source", metavar="FILE|URL")
@click.option("--name", metavar="NAME", help="What to call it here (default: made from its title).")
@command
async def add(context: Context, source: str, name: str | None) -> None:
    """Add a network by its file, from disk or over https. Adding it again brings it up to date.

    Whoever writes this file decides which contracts are paid: take it only from someone whom you trust.
    """
    from depin_desktop.wallet import networks

    profile = await networks.read_profile(source)
    path = None if "://" in source else Path(source)
    added = await asyncio.to_thread(networks.add, context.home, profile, name=name, source=path)
    after = "It is in use." if added.in_use else f"Change to it: depin network use {added.name}"
    context.answer(added, f"{added.name}: {added.title}, chain {added.chain_id}, by {added.node}. {after}")


@network.command()
@click.argument("name")
@click.option("--leave", is_flag=True, help="Even though this home keeps pieces for customers of the present network.")
@command
async def use(context: Context, name: str, leave: bool) -> None:
    """Change to another network; the engine must not run."""
    from depin_desktop.wallet import networks

    if not leave:
        await _check_nothing_is_left_behind(context, name)
    chosen = await asyncio.to_thread(networks.use, context.home, name)
    new = not context.home.engine_database.exists()
    context.answer(chosen, f"{chosen.name} is in use." + (" Register this home there: depin init" if new else ""))


async def _check_nothing_is_left_behind(context: Context, name: str) -> None:
    """Refuses while customers rely on this home: what is not served and proven costs stake."""
    from depin_desktop.core.database import Database
    from depin_desktop.core.errors import UserFacingError
    from depin_desktop.services.storage.store import PieceStore
    from depin_desktop.wallet import networks

    present = [one for one in await asyncio.to_thread(networks.known, context.home) if one.in_use]
    if not present or present[0].name == name or not context.home.engine_database.exists():
        return
    database = Database(context.home.engine_database)
    await database.open()
    try:
        store = PieceStore(database)
        await store.open()
        pieces = sum([len(await store.pieces_in(folder.id)) for folder in await store.folders()])
    finally:
        await database.close()
    if pieces:
        several = "s" if pieces > 1 else ""
        raise UserFacingError(
            f"This home keeps {pieces} piece{several} for customers on {present[0].name}, which would be neither served"
            " nor proven; faults cost stake.",
            "Unshare the storage first, give the other network a home of its own with --home, or insist with --leave.",
            code="obligations",
            status=409,
        )


@network.command()
@click.argument("name", required=False)
@command
async def check(context: Context, name: str | None) -> None:
    """Check a network: node, chain, contracts and hubs. Ends with 1 if something fails."""
    from depin_desktop.chain.checkup import check as look
    from depin_desktop.wallet import networks

    profile = await asyncio.to_thread(networks.profile_of, context.home, name)
    findings = [*await look(profile), *await _hubs(profile.hub_urls)]
    rows = [(_MARKS[one.ok], one.subject, one.detail) for one in findings]
    plain = [{"subject": one.subject, "ok": one.ok, "detail": one.detail} for one in findings]
    context.answer(plain, table(rows))
    if any(one.ok is False for one in findings):
        sys.exit(1)


async def _hubs(urls: tuple[str, ...]) -> list[Finding]:
    import nats

    from depin_desktop.chain.checkup import Finding

    async def one(url: str) -> Finding:
        host = urlsplit(url).netloc.rpartition("@")[2]
        try:
            async with asyncio.timeout(HUB_TIMEOUT_S):
                client = await nats.connect(url, allow_reconnect=False, error_cb=_quiet)
                await client.close()
        except Exception as error:  # noqa: BLE001 - whatever the client library raises, the hub cannot be used
            return Finding("hub", False, f"{host} does not answer ({type(error).__name__})")
        return Finding("hub", True, f"{host} answers")

    return list(await asyncio.gather(*(one(url) for url in urls)))


async def _quiet(_: Exception) -> None:
    """The library would print it."""


@network.command()
@click.option("--rpc", required=True, metavar="URL", help="Your node of the chain, http or https.")
@click.option("--key-file", type=AbsolutePath(), required=True, metavar="FILE", help="Holds the founder's key, in hex.")
@click.option("--out", type=AbsolutePath(), required=True, metavar="FILE", help="Where the network file is written.")
@click.option("--name", required=True, help="The network's title.")
@click.option("--hub", "hubs", multiple=True, required=True, metavar="URL", help="A NATS server of the network.")
@click.option("--public-rpc", metavar="URL", help="The node that everybody is told of (default: yours).")
@click.option("--ws", default="", metavar="URL", help="Its WebSocket address, where it has one.")
@click.option("--holder", metavar="ADDRESS", help="Gets the first tokens (default: the founder).")
@click.option("--supply", default="400000000", show_default=True, metavar="TOKENS", help="How many these are.")
@click.option("--beneficiary", metavar="ADDRESS", help="Gets what the token's schedule emits (default: the holder).")
@click.option("--min-stake", default="1000", show_default=True, metavar="TOKENS", help="A provider's least stake.")
@click.option(
    "--period", default=DAY_S, show_default=True, type=click.IntRange(min=60), help="Proving period, seconds."
)
@click.option("--window", default=HOUR_S, show_default=True, type=click.IntRange(min=2), help="Its window, seconds.")
@click.option("--confirmations", default=3, show_default=True, type=click.IntRange(1, 1000), help="Blocks until final.")
@click.option("--tokens-per-coin", metavar="TOKENS", help="What a coin of gas is worth, by which fees are weighed.")
@click.option("--relayer", metavar="URL", help="Who sends claims for providers without gas (see depin relay).")
@click.option("--relayer-address", metavar="ADDRESS", help="The relayer's account.")
@click.option("--price-tib-month", default="5", show_default=True, metavar="TOKENS", help="Suggested to providers.")
@click.option("--price-gib-read", default="0.01", show_default=True, metavar="TOKENS", help="Suggested to providers.")
@command
async def deploy(
    context: Context,
    rpc: str,
    key_file: Path,
    out: Path,
    name: str,
    hubs: tuple[str, ...],
    public_rpc: str | None,
    ws: str,
    holder: str | None,
    supply: str,
    beneficiary: str | None,
    min_stake: str,
    period: int,
    window: int,
    confirmations: int,
    tokens_per_coin: str | None,
    relayer: str | None,
    relayer_address: str | None,
    price_tib_month: str,
    price_gib_read: str,
) -> None:
    """Found a network on a chain: deploy its contracts and write the network file by which people join.

    x402's settlement contract must be on that chain already. Run it again with the same options to go on after an
    interruption; the plan and the transactions lie beside the network file.
    """
    from depin_desktop.chain.founding import Terms, found
    from depin_desktop.core.addresses import parse_address
    from depin_desktop.core.units import parse_tokens

    account = await asyncio.to_thread(_founder, key_file)
    first = account.address if holder is None else parse_address(holder)
    terms = Terms(
        name=name,
        token_holder=first,
        beneficiary=first if beneficiary is None else parse_address(beneficiary),
        token_supply=parse_tokens(supply),
        min_stake=parse_tokens(min_stake),
        period_s=period,
        window_s=window,
        confirmations=confirmations,
        rpc_url=public_rpc or _without_credentials(rpc),
        ws_url=ws,
        hub_urls=hubs,
        tokens_per_coin=0 if tokens_per_coin is None else parse_tokens(tokens_per_coin),
        relayer=_relayer(relayer, relayer_address),
        price_per_tib_month=parse_tokens(price_tib_month),
        price_per_gib_read=parse_tokens(price_gib_read),
    )
    context.note(f"Founding {name} from {account.address} …")
    made = await found(rpc, account, terms, out)
    context.answer(
        {"network": str(out), "chain_id": made.chain_id, "addresses": made.addresses.model_dump()},
        f"{out}\nGive this file to whoever shall join, over https: depin network add URL",
    )


def _founder(path: Path) -> LocalAccount:
    from depin_desktop.core.errors import UserFacingError
    from depin_desktop.wallet.hotkeys import load

    if not path.exists():
        raise UserFacingError(
            f"There is no file {path}.", "Write the founder's private key into it, 64 hex digits.", code="no-key-file"
        )
    return load(path)


def _relayer(url: str | None, address: str | None) -> RelayerProfile | None:
    from depin_desktop.chain.network import RelayerProfile
    from depin_desktop.core.addresses import parse_address
    from depin_desktop.core.errors import UserFacingError

    if url is None and address is None:
        return None
    if not url or not address or urlsplit(url).scheme not in ("http", "https"):
        raise UserFacingError(
            "A relayer has an http address and an account.",
            "Give both --relayer and --relayer-address, as `depin relay` prints them.",
            code="bad-relayer",
        )
    account = parse_address(address)
    return RelayerProfile(url=url.rstrip("/"), operator=account, payout=account)


def _without_credentials(url: str) -> str:
    """The address for everybody; refuses to publish a password that stands in it."""
    from depin_desktop.core.errors import UserFacingError

    if urlsplit(url).username or urlsplit(url).password:
        raise UserFacingError(
            "Your node's address holds a password, which must not get into the network file.",
            "Name the node that everybody may use with --public-rpc.",
            code="private-node",
        )
    return url
