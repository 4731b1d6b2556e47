"""Snapshots of an engine in each of its states: what a machine that has earned for some weeks would say, and others."""

from __future__ import annotations

import math
from dataclasses import replace

from depin_desktop.api.controls import Pause, Wishes
from depin_desktop.api.models import (
    Activity,
    Cpu,
    DataSetStatus,
    EarningsPoint,
    EngineStatus,
    FolderState,
    HubStatus,
    NetworkStatus,
    NodeStatus,
    ProbeProblem,
    ProofRecord,
    RatePoint,
    ServiceKind,
    ServiceState,
    ServiceStatus,
    SharedFolder,
    StorageStatus,
)
from depin_desktop.api.wallet import HistoryEntry, Look, LookAt, StepKind, Thaw, WalletStatus
from depin_desktop.api.week import parse_spans
from depin_desktop.app.known import Known, Link, Phase

from . import compute_samples as computing
from .machine_samples import GB, disk, inventory

NOW = 1_763_840_460.0
TOKEN = 10**18
OWNER = "0x8f3A12bC90eFa07D4b125E21c3a9D3f1B2c4E5d6"
CUSTOMERS = (
    "0x8f3A6Bc1D2e3F4a5B6c7D8e9F0a1B2c3D4e521c0",
    "0x11bC0d9E8f7A6b5C4d3E2f1A0b9C8d7E6f5A90ef",
    "0xA07d1E2f3A4b5C6d7E8f9A0b1C2d3E4f5A6b4b12",
    "0x5E21f0A9b8C7d6E5f4A3b2C1d0E9f8A7b6C5c3a9",
)


def _tokens(value: float) -> int:
    return round(value * 10**6) * 10**12


def _transaction(number: int) -> str:
    return "0x" + f"{number * 7919 + 13:08x}" * 8


def service(state: ServiceState = ServiceState.EARNING, reason: str = "") -> ServiceStatus:
    return ServiceStatus(
        kind=ServiceKind.STORAGE,
        state=state,
        reason=reason,
        verified_at=NOW - 240,
        earned_today=_tokens(4.1),
        earned_total=_tokens(402.15),
    )


def folder(**changes: object) -> SharedFolder:
    base: dict[str, object] = {
        "id": "f1",
        "path": "/mnt/data/depin",
        "mount": "/mnt/data",
        "filesystem": "ext4",
        "allocated_bytes": 1500 * GB,
        "stored_bytes": 1040 * GB,
        "reserved_bytes": 2 * GB,
        "disk_total_bytes": 2000 * GB,
        "disk_free_bytes": 720 * GB,
        "keep_free_bytes": 100 * GB,
        "pieces": 9412,
        "state": FolderState.OK,
        "checked_at": NOW - 31,
    }
    return SharedFolder.model_validate(base | changes)


def second_folder(**changes: object) -> SharedFolder:
    base: dict[str, object] = {
        "id": "f2",
        "path": "/media/backup/shared",
        "mount": "/media/backup",
        "filesystem": "exfat",
        "allocated_bytes": 500 * GB,
        "stored_bytes": 380 * GB,
        "reserved_bytes": 0,
        "disk_total_bytes": 1000 * GB,
        "disk_free_bytes": 320 * GB,
        "keep_free_bytes": 50 * GB,
        "pieces": 3120,
    }
    return folder(**(base | changes))


def data_sets() -> tuple[DataSetStatus, ...]:
    rows = (
        (212.4, 2120, 2.4, 88.1, 61, "active"),
        (96.0, 940, 2.4, 31.77, 12, "active"),
        (64.0, 610, 2.1, 4.02, 180, "active"),
        (12.8, 121, 2.4, 1.18, 2, "ending"),
    )
    return tuple(
        DataSetStatus(
            id=f"0x{index:064x}",
            customer=CUSTOMERS[index],
            stored_bytes=int(stored * GB),
            pieces=pieces,
            price_per_tib_month=_tokens(price),
            earned=_tokens(earned),
            funded=_tokens(earned / 3),
            last_proven_at=NOW - 240,
            ends_at=NOW + days * 86_400,
            state=state,
        )
        for index, (stored, pieces, price, earned, days, state) in enumerate(rows)
    )


def _wave(index: int, phase: float) -> float:
    return 1 + 0.5 * math.sin(index / 4 + phase) + 0.25 * math.sin(index / 1.7 + 2 * phase) + 0.012 * index


def rates() -> tuple[RatePoint, ...]:
    return tuple(
        RatePoint(at=NOW - 3600 + index * 60, received=2.05e7 * _wave(index, 0.3), sent=4.1e6 * _wave(index, 1.9))
        for index in range(61)
    )


def proofs(missed: int | None = 17) -> tuple[ProofRecord, ...]:
    return tuple(
        ProofRecord(
            period=5000 + index,
            at=NOW - 240 - (29 - index) * 3600,
            data_sets=214,
            proven=index != missed,
            paid=0 if index == missed else _tokens(0.31),
            transaction=_transaction(index),
            detail="The disk was away for 40 minutes." if index == missed else "",
        )
        for index in range(30)
    )


def storage(**changes: object) -> StorageStatus:
    base: dict[str, object] = {
        "service": service(),
        "folders": (folder(), second_folder()),
        "data_sets": data_sets(),
        "pieces": 12_532,
        "stored_bytes": 1420 * GB,
        "price_per_tib_month": _tokens(2.4),
        "price_per_gib_read": _tokens(0.01),
        "last_proven_at": NOW - 240,
        "next_proof_at": NOW + 720,
        "proofs": proofs(),
        "rates": rates(),
    }
    return StorageStatus(**(base | changes))  # type: ignore[arg-type]


def activity() -> tuple[Activity, ...]:
    rows = (
        (60, "proof", "Proof accepted", "214 data sets, 5 challenges", 0.31),
        (240, "piece-read", "Piece read", "64 MiB by 0x11bC…90ef", 0.12),
        (360, "piece-stored", "Piece stored", "64 MiB from 0x8f3A…21c0", 0),
        (720, "claimed", "Vouchers claimed", "37 vouchers, fee 0.004", 2.87),
        (1800, "folder", "Old backup drive is back", "It was away for 40 min", 0),
        (2640, "piece-removed", "Piece removed", "its deal ended", 0),
        (3700, "proof", "Proof accepted", "213 data sets, 5 challenges", 0.3),
        (5300, "piece-stored", "Piece stored", "12 MiB from 0xA07d…4b12", 0),
    )
    return tuple(
        Activity(at=NOW - ago, kind=kind, title=title, detail=detail, amount=_tokens(amount))
        for ago, kind, title, detail, amount in rows
    )


def status(**changes: object) -> EngineStatus:
    earnings = tuple(
        EarningsPoint(at=NOW - (29 - day) * 86_400, amount=_tokens(6.2 * _wave(day, 0.9))) for day in range(30)
    )
    base: dict[str, object] = {
        "version": "0.1.0",
        "started_at": NOW - 90_000,
        "home": "/home/anna/.local/share/depin-desktop",
        "sharing": True,
        "registered": True,
        "network": NetworkStatus(
            name="localnet",
            chain_id=31337,
            symbol="DPN",
            private=True,
            connected=True,
            block=18_204,
            block_at=NOW - 3,
        ),
        "hub": HubStatus(connected=True, offers=4),
        "node": NodeStatus(node_id="ab" * 32, addresses=("127.0.0.1:4433",), peers=3),
        "services": (service(), computing.service()),
        "earned_today": _tokens(13.88),
        "earned_total": _tokens(1204.77),
        "pending": _tokens(4.86),
        "earnings": earnings,
        "activity": activity(),
    }
    return EngineStatus(**(base | changes))  # type: ignore[arg-type]


def wallet(**changes: object) -> WalletStatus:
    base: dict[str, object] = {
        "owner": OWNER,
        "payout": OWNER,
        "operator": CUSTOMERS[0],
        "spender": CUSTOMERS[1],
        "backed_up": False,
        "registered": True,
        "balance": _tokens(1310.42),
        "spending_balance": _tokens(25),
        "pending": _tokens(4.86),
        "claimed": _tokens(1199.91),
        "stake": _tokens(100),
        "least_stake": _tokens(50),
        "thaw_s": 21 * 86_400,
        "earned_today": _tokens(13.88),
        "earned_total": _tokens(1204.77),
        "operator_gas": _tokens(0.842),
        "owner_gas": _tokens(1.2),
        "as_of_block": 18_204,
        "as_of": NOW - 3,
        "chain_at": NOW - 3,
    }
    return WalletStatus(**(base | changes))  # type: ignore[arg-type]


def thawing(*tokens: float) -> tuple[Thaw, ...]:
    """Releases of stake: the first has thawed, each later one is ten days on."""
    return tuple(
        Thaw(amount=_tokens(amount), ends=NOW - 3600 + number * 10 * 86_400) for number, amount in enumerate(tokens)
    )


def look(request: LookAt, **changes: object) -> Look:
    """What the engine says of a step."""
    base: dict[str, object] = {
        "kind": request.kind,
        "to": request.to,
        "amount": wallet().balance if request.amount is None else request.amount,
        "highest_fee": 21 * 10**13,
        "fee_worth": 0,
        "coin_left": wallet().owner_gas - 21 * 10**13,
        "ends": NOW + wallet().thaw_s if request.kind is StepKind.UNSTAKE else None,
    }
    return Look(**(base | changes))  # type: ignore[arg-type]


def history(count: int = 24) -> tuple[HistoryEntry, ...]:
    kinds = ("storage", "reads", "storage", "transfer-out", "storage", "deposit", "reads", "faucet")
    amounts = (0.31, 0.12, 0.3, -25.0, 0.29, -2.0, 0.0042, 1000.0)
    return tuple(
        HistoryEntry(
            at=NOW - 60 - index * 4000,
            kind=kinds[index % 8],
            amount=_tokens(amounts[index % 8]),
            fee=10**14 if index % 8 == 3 else 0,
            counterparty=CUSTOMERS[index % 4],
            transaction="" if kinds[index % 8] == "reads" and index < 8 else _transaction(index + 1),
            block=None if kinds[index % 8] == "reads" and index < 8 else 18_204 - index * 40,
            status="pending" if index in (0, 1) else "confirmed",
        )
        for index in range(count)
    )


def live(**changes: object) -> Known:
    """All is well."""
    known = Known(
        link=Link(Phase.LIVE, NOW - 600),
        status=status(),
        storage=storage(),
        wallet=wallet(),
        inventory=inventory(),
        compute=computing.compute(),
        controls=computing.controls(),
        loads=computing.loads(computing.CPU, computing.CARD),
        history=history(),
        history_complete=True,
        heard_at=NOW,
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def empty() -> Known:
    """A home that was made a minute ago."""
    off = service(ServiceState.OFF).model_copy(update={"earned_today": 0, "earned_total": 0, "verified_at": None})
    nothing = {"folders": (), "data_sets": (), "pieces": 0, "stored_bytes": 0, "proofs": (), "rates": ()}
    zero = dict.fromkeys(("balance", "spending_balance", "pending", "claimed", "stake", "earned_today"), 0)
    return live(
        status=status(
            services=(off, computing.off().service),
            earned_today=0,
            earned_total=0,
            pending=0,
            earnings=(),
            activity=(),
            hub=HubStatus(connected=True),
        ),
        storage=storage(service=off, last_proven_at=None, next_proof_at=None, **nothing),
        wallet=wallet(**zero, earned_total=0),
        compute=computing.off(),
        controls=computing.controls(gpus=()),
        inventory=inventory(gpus=()),
        loads={},
        history=(),
    )


def loading() -> Known:
    """Nothing has been heard yet."""
    return Known(link=Link(Phase.STARTING, NOW - 1))


def offline() -> Known:
    """The engine went away half a minute ago."""
    return live(link=Link(Phase.LOST, NOW - 34), heard_at=NOW - 34)


def attention() -> Known:
    """Something to look at."""
    looks = service(ServiceState.ATTENTION, "/media/backup/shared answers slowly. Check its cable.")
    hot = computing.service(ServiceState.ATTENTION, "The cooling cannot keep up. Clean the fans of this computer.")
    return live(
        compute=computing.compute(service=hot, imports=computing.importing()),
        status=status(
            services=(looks, hot),
            advice=("The disk /media/backup answers slowly. Check its cable.",),
            network=status().network.model_copy(update={"private": False, "name": "testville"}),
        ),
        storage=storage(service=looks, folders=(folder(), second_folder(state=FolderState.SLOW))),
    )


def fault() -> Known:
    """Loss is near."""
    broken = service(
        ServiceState.FAULT, "/media/backup/shared is missing. Plug its disk back in before the next proof."
    )
    gone = computing.service(
        ServiceState.FAULT, "The worker process ends at once. Its log is in the home's logs folder."
    )
    return live(
        compute=computing.compute(service=gone, running=0, waiting=0),
        status=status(
            services=(broken, gone),
            advice=("Plug /media/backup back in within 12 minutes, or the next proof is missed and stake is lost.",),
            hub=HubStatus(connected=False),
        ),
        storage=storage(
            service=broken,
            folders=(folder(), second_folder(state=FolderState.MISSING, disk_total_bytes=0, disk_free_bytes=0)),
            proofs=proofs(missed=29),
        ),
        inventory=inventory(problems=(ProbeProblem(probe="SMART", message="smartctl did not answer within 5 s"),)),
    )


def paused() -> Known:
    """By the owner, for half an hour."""
    snoozed = computing.controls(pause=Pause(until=NOW + 1800, finish_current=True))
    resting = computing.service(ServiceState.PAUSED, snoozed.reason)
    return live(compute=computing.compute(service=resting, waiting=0), controls=snoozed)


def long_names() -> Known:
    """Texts that do not fit."""
    path = "/media/anna/A very long volume name from the shop/Archive 2019–2025/Shared with the network/depin data"
    many = tuple(
        disk(f"/media/anna/A very long volume name {n}", f"/dev/sd{n}", "btrfs", 4000, 1234, model="Some " * 12)
        for n in "cdefgh"
    )
    titles = Activity(
        at=NOW - 10,
        kind="piece-stored",
        title="A piece of an extraordinarily large data set was stored " * 2,
        detail="from " + OWNER + " over a relay in another country",
        amount=_tokens(123456.789),
    )
    return live(
        status=status(
            earned_today=_tokens(1_234_567.89),
            earned_total=_tokens(98_765_432.1),
            pending=_tokens(1_234_567.5),
            activity=(titles, *activity()),
            network=status().network.model_copy(
                update={"private": False, "name": "The Neighbourhood Storage Network of Greater Testville"}
            ),
        ),
        storage=storage(folders=tuple(folder(id=f"f{n}", path=path + str(n), mount=path) for n in range(3))),
        compute=computing.compute(
            service=computing.service().model_copy(update={"earned_today": _tokens(1_234_567.89)}),
            models=tuple(
                model.model_copy(
                    update={"name": model.name + " of an extraordinarily long lineage" * 2, "licence": name}
                )
                for model in computing.models()
                for name in ("A licence with a very long name of its own",)
            ),
            jobs=tuple(job.model_copy(update={"model": job.model * 3}) for job in computing.jobs()),
            imports=tuple(
                entry.model_copy(update={"name": "A long model name " * 9}) for entry in computing.importing()
            ),
            done_total=123_456_789,
        ),
        controls=computing.controls(
            Wishes(
                exclusive_apps=tuple(f"program-{n}" for n in range(12)), schedule=parse_spans("mon-fri 22:00-07:00")
            ),
            gpus=tuple(
                computing.gpu(uuid=f"GPU-{n}", name="NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition")
                for n in range(4)
            ),
        ),
        wallet=wallet(
            balance=_tokens(98_765_432.1),
            stake=_tokens(12_345_678.9),
            thawing=thawing(1_234_567.89, 2_345_678.91),
            payout=CUSTOMERS[2],
            operator_gas=_tokens(0.0003),
            backed_up=True,
        ),
        inventory=inventory(
            disks=many,
            cpu=Cpu(name="Intel(R) Xeon(R) Platinum 8592+ with a very long marketing name", cores=64, threads=128),
            gpus=(),
        ),
    )


SCENES = {
    "live": live,
    "empty": empty,
    "loading": loading,
    "offline": offline,
    "attention": attention,
    "fault": fault,
    "paused": paused,
    "long": long_names,
}
