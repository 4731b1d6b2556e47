"""What several pages show: service pills, the status line, banners, the sharing switch."""

from __future__ import annotations

from dataclasses import dataclass

from depin_desktop.api.models import EngineStatus, ServiceKind, ServiceState, ServiceStatus
from depin_desktop.app.known import Known, Link, Phase
from depin_desktop.app.words import Words, age, counted, full_time, tr

STALE_BLOCK_S = 120.0


@dataclass(frozen=True)
class SwitchView:
    """A switch: its position, whether it may be moved, its label and why it stands so."""

    on: bool
    enabled: bool
    label: str
    tip: str


@dataclass(frozen=True)
class Notice:
    """A banner: a headline, a sentence, and perhaps one thing to press."""

    headline: str
    sentence: str
    tone: str = "warning"
    action: str = ""  # retry | share | backup | wallet
    action_label: str = ""


def storage_service(known: Known) -> ServiceStatus | None:
    """The storage service as it was last reported, from whichever snapshot is at hand."""
    return known.storage.service if known.storage is not None else _reported(known, ServiceKind.STORAGE)


def compute_service(known: Known) -> ServiceStatus | None:
    """The compute service, likewise."""
    return known.compute.service if known.compute is not None else _reported(known, ServiceKind.COMPUTE)


def _reported(known: Known, kind: ServiceKind) -> ServiceStatus | None:
    services = known.status.services if known.status is not None else ()
    return next((entry for entry in services if entry.kind is kind), None)


def services(known: Known) -> list[ServiceStatus]:
    """All that this engine has, in the order of the sidebar."""
    return [entry for entry in (storage_service(known), compute_service(known)) if entry is not None]


_LEADING = (
    ServiceState.FAULT,
    ServiceState.ATTENTION,
    ServiceState.EARNING,
    ServiceState.IDLE,
    ServiceState.STARTING,
    ServiceState.PAUSED,
    ServiceState.OFF,
)


def leading(known: Known) -> ServiceStatus | None:
    """The service that one word for the whole machine follows: what needs its owner, then what earns."""
    return min(services(known), key=lambda entry: _LEADING.index(entry.state), default=None)


def storage_pill(known: Known, now: float) -> Words:
    """The one word (or four) on the Storage cards; follows from verified facts, and says when the link is gone."""
    current = storage_service(known)
    if current is None:
        away = known.link.phase in (Phase.LOST, Phase.FAILED)
        return Words(tr("Offline"), "muted") if away else Words(tr("Loading…"), "muted")
    verified = known.storage.last_proven_at if known.storage else current.verified_at
    if not known.link.live:
        return Words(tr("Seen {age}", age=age(now, known.heard_at)), "muted", full_time(known.heard_at))
    if current.state is ServiceState.EARNING and verified is not None:
        return Words(tr("Proven {age}", age=age(now, verified)), "accent", full_time(verified))
    text, tone = STATES[current.state]
    return Words(tr(text), tone, current.reason)


STATES = {
    ServiceState.OFF: ("Off", "muted"),
    ServiceState.STARTING: ("Starting…", "info"),
    ServiceState.EARNING: ("Earning", "accent"),
    ServiceState.IDLE: ("Ready", "info"),
    ServiceState.PAUSED: ("Paused", "muted"),
    ServiceState.ATTENTION: ("Look at this", "warning"),
    ServiceState.FAULT: ("Fault", "fault"),
}


def sharing_switch(known: Known, busy: bool = False) -> SwitchView:
    """The one switch of the app. It can be moved only while an engine listens and there is something to share."""
    status, live = known.status, known.link.live
    on = bool(status and status.sharing)
    if not live:
        return SwitchView(on, False, tr("Sharing"), tr("The engine is away; this shows its last word."))
    if busy:
        return SwitchView(on, False, tr("Sharing"), tr("Asking the engine…"))
    computes = known.compute is not None and known.compute.shared
    if known.storage is not None and not known.storage.folders and not computes:
        tip = tr("Share a folder or computing power first; then this turns all of it on and off.")
        return SwitchView(False, False, tr("Sharing"), tip)
    tip = tr("Turn off to accept nothing new. Pieces already paid for stay and are still proven.")
    return SwitchView(on, True, tr("Sharing"), tip if on else tr("Turn on to earn with what you share."))


def link_notice(link: Link, now: float) -> Notice | None:
    """The banner while the engine is away."""
    if link.phase is Phase.LOST:
        return Notice(
            tr("The engine does not answer"),
            tr("What you see is from {age}. Trying again by itself.", age=age(now, link.since))
            + (f" {link.detail}" if link.detail else ""),
            "fault",
            "retry",
            tr("Try now"),
        )
    if link.phase is Phase.FAILED:
        sentence = " ".join(part for part in (link.detail, link.remedy) if part)
        return Notice(tr("The engine did not start"), sentence, "fault", "retry", tr("Try again"))
    return None


@dataclass(frozen=True)
class StatusLine:
    """The line at the bottom, from left to right."""

    state: Words
    network: Words
    hub: Words
    peers: Words
    worth: Words


def status_line(known: Known, now: float) -> StatusLine:
    """Earning or not, the network and how fresh it is, hub, peers, and what tokens here are worth."""
    status, nothing = known.status, Words("")
    if not known.link.live:
        text = {
            Phase.CONNECTING: tr("Connecting…"),
            Phase.STARTING: tr("Starting the engine…"),
            Phase.LOST: tr("Engine away"),
            Phase.FAILED: tr("Engine not running"),
        }[known.link.phase]
        tone = "fault" if known.link.phase in (Phase.LOST, Phase.FAILED) else "muted"
        state = Words(text, tone, full_time(known.link.since))
    else:
        state = _earning(known)
    if status is None:
        return StatusLine(state, nothing, nothing, nothing, nothing)
    worth = nothing
    if status.network.private:
        worth = Words(tr("Tokens on this private network have no value"), "muted", operator_run())
    hub = Words(tr("Hub connected"), "muted", status.hub.detail)
    if not status.hub.connected:
        hub = Words(tr("Hub away"), "warning", status.hub.detail or tr("New customers cannot find this node now."))
    elif status.hub.offers:
        offers = counted(status.hub.offers, tr("offer"), tr("offers"))
        hub = Words(hub.text, hub.tone, tr("{offers} seen", offers=offers))
    peers = Words(counted(status.node.peers, tr("peer"), tr("peers")), "muted", tr("Connected directly, now"))
    return StatusLine(state, _network(status, now), hub, peers, worth)


def operator_run() -> str:
    """What proofs are worth where one party makes all blocks (docs/economics.md)."""
    return tr(
        "Whoever runs this private network makes all its blocks and could choose the challenges: "
        "proofs here convince that operator, not strangers."
    )


def _earning(known: Known) -> Words:
    status, current = known.status, leading(known)
    if status is None or current is None:
        return Words(tr("Loading…"), "muted")
    if not status.sharing:
        return Words(tr("Not sharing"), "muted", status.paused_reason)
    if status.paused_reason:
        return Words(tr("Paused"), "muted", status.paused_reason)
    words = {
        ServiceState.EARNING: (tr("Earning"), "accent"),
        ServiceState.IDLE: (tr("Ready, no customer yet"), "info"),
        ServiceState.STARTING: (tr("Starting"), "info"),
        ServiceState.OFF: (tr("Nothing shared"), "muted"),
        ServiceState.PAUSED: (tr("Paused"), "muted"),
        ServiceState.ATTENTION: (tr("Needs attention"), "warning"),
        ServiceState.FAULT: (tr("Fault"), "fault"),
    }
    text, tone = words[current.state]
    return Words(text, tone, current.reason)


def _network(status: EngineStatus, now: float) -> Words:
    network = status.network
    name = tr("Private network") if network.private else network.name
    if not network.connected:
        return Words(tr("{name} away", name=name), "warning", network.detail or tr("The chain does not answer."))
    block = f"{network.block:,}".replace(",", "\u2009")
    text = tr("{name} · block {block}", name=name, block=block)
    tip = tr("{name}, chain {id}. {time}", name=network.name, id=network.chain_id, time=full_time(network.block_at))
    # A chain may rest while nothing happens; only its age tells, so it is shown once it is worth a glance.
    return Words(f"{text}, {age(now, network.block_at)}", "muted", tip)
