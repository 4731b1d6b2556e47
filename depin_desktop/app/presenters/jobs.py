"""Jobs in words: the cells of their table, its filter, and what the window of one job says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from depin_desktop.api.compute import ComputeStatus, JobOutcome, JobStatus
from depin_desktop.app.presenters.compute import duration
from depin_desktop.app.presenters.models import kind_name, large, short
from depin_desktop.app.words import Words, counted, exact_amount, full_time, short_address, tr, when
from depin_desktop.core.units import format_tokens

COLUMNS = ("Time", "What", "Customer", "Ran on", "Work", "Earned", "Outcome")
RIGHT = frozenset({4, 5})
TWO_LINES = (1, 4)

OUTCOMES: dict[JobOutcome, tuple[str, str]] = {
    JobOutcome.WAITING: ("Waiting", "muted"),
    JobOutcome.RUNNING: ("Running", "info"),
    JobOutcome.DONE: ("Done", "text"),
    JobOutcome.FAILED: ("Failed", "warning"),
    JobOutcome.CANCELLED: ("Customer left", "muted"),
    JobOutcome.STOPPED: ("Stopped by you", "muted"),
    JobOutcome.UNPAID: ("Not paid", "fault"),
    JobOutcome.INTERRUPTED: ("Interrupted", "warning"),
}
MEANINGS: dict[JobOutcome, str] = {
    JobOutcome.WAITING: "It begins when a slot is free.",
    JobOutcome.RUNNING: "It runs now.",
    JobOutcome.DONE: "The customer has the whole answer.",
    JobOutcome.FAILED: "The work itself failed; its log says why.",
    JobOutcome.CANCELLED: "The customer went away before the end, and pays for what was done until then.",
    JobOutcome.STOPPED: "Your rules or your pause ended it.",
    JobOutcome.UNPAID: "The customer stopped paying, so it was ended.",
    JobOutcome.INTERRUPTED: "The engine was killed, or the computer went off, in the middle of it.",
}
FILTERS = (("all", "All jobs"), ("now", "Now"), ("done", "Done"), ("broken", "Not finished"))
_MISSED = (JobOutcome.FAILED, JobOutcome.UNPAID, JobOutcome.INTERRUPTED)
_UNFINISHED = (*_MISSED, JobOutcome.CANCELLED, JobOutcome.STOPPED)


def matches(job: JobStatus, chosen: str) -> bool:
    """Whether a filter (a key of FILTERS) lets a job through."""
    if chosen == "now":
        return job.outcome in (JobOutcome.WAITING, JobOutcome.RUNNING)
    if chosen == "done":
        return job.outcome is JobOutcome.DONE
    return chosen != "broken" or job.outcome in _UNFINISHED


def cell(job: JobStatus, column: int, now: float, device: str, symbol: str) -> Words:
    """One cell of the table; `device` names what the job ran on."""
    if column == 0:
        return Words(when(now, job.queued_at), "muted", full_time(job.queued_at))
    if column == 1:
        return Words(f"{kind_name(job.kind)}\n{short(job.model)}", "text", job.model)
    if column == 2:
        return Words(short_address(job.customer), "muted", job.customer)
    if column == 3:
        return Words(short(device, 18), "muted", device)
    if column == 4:
        tip = "\n".join(part for part in (work_tip(job), waited(job)) if part)
        return Words(f"{work(job) or '–'}\n{took(job, now)}", "text", tip)
    if column == 5:
        return Words(format_tokens(job.earned), "text", exact_amount(job.earned, symbol))
    text, tone = OUTCOMES[job.outcome]
    return Words(tr(text), tone, tr(MEANINGS[job.outcome]))


def work(job: JobStatus) -> str:
    """What was done, in what it is paid by."""
    if job.kind == "wasm":
        return tr("{n} fuel", n=large(job.fuel)) if job.fuel else ""
    if job.kind == "onnx":
        return duration(job.seconds) if job.seconds else ""
    if job.completion_tokens:
        return counted(job.completion_tokens, tr("token"), tr("tokens"))
    return counted(job.prompt_tokens, tr("token read"), tr("tokens read")) if job.prompt_tokens else ""


def work_tip(job: JobStatus) -> str:
    """Both halves of what was metered."""
    if job.kind in ("wasm", "onnx"):
        return ""
    return tr(
        "{read} read, {written} written",
        read=counted(job.prompt_tokens, tr("token"), tr("tokens")),
        written=counted(job.completion_tokens, tr("token"), tr("tokens")),
    )


def took(job: JobStatus, now: float) -> str:
    """How long it ran, or has run until now."""
    if job.started_at is None:
        return ""
    return duration(max(0.0, (job.ended_at or now) - job.started_at))


def waited(job: JobStatus) -> str:
    """How long it stood in the queue."""
    if job.started_at is None:
        return ""
    return tr("Waited {time}", time=duration(max(0.0, job.started_at - job.queued_at)))


def sort_key(job: JobStatus, column: int) -> float | str:
    """What a column is ordered by."""
    keys: tuple[float | str, ...] = (
        job.queued_at,
        job.kind,
        job.customer.lower(),
        job.device,
        float(job.completion_tokens or job.prompt_tokens or job.fuel or job.seconds),
        job.earned / 1e18,
        list(OUTCOMES).index(job.outcome),
    )
    return keys[column]


def copied(job: JobStatus) -> str:
    """A row for the clipboard."""
    return "\t".join((job.id, job.kind, job.model, job.customer, job.outcome.value, str(job.earned)))


def summary(compute: ComputeStatus) -> Words:
    """The line beside the card's title; what customers found when they checked answers comes last."""
    jobs = compute.jobs
    running = sum(job.outcome is JobOutcome.RUNNING for job in jobs)
    waiting = sum(job.outcome is JobOutcome.WAITING for job in jobs)
    parts = [tr("{n} running", n=running)] if running else []
    parts += [tr("{n} waiting", n=waiting)] if waiting else []
    parts.append(tr("{jobs} done in all", jobs=counted(compute.done_total, tr("job"), tr("jobs"))))
    right, wrong = compute.checked_right, compute.checked_wrong
    if right or wrong:
        parts.append(tr("{right} of {all} checked answers right", right=right, all=right + wrong))
    tip = tr("Customers mix in questions whose answers they know, and ask several providers the same.")
    return Words(" · ".join(parts), "warning" if wrong else "muted", tip if right or wrong else "")


@dataclass(frozen=True)
class JobView:
    """The window of one job: its facts as (name, value), and its log."""

    title: str
    outcome: Words
    meaning: str
    facts: tuple[tuple[str, str], ...]
    log: str


def job_view(job: JobStatus, now: float, device: str, symbol: str) -> JobView:
    """Everything there is to know of one job."""
    text, tone = OUTCOMES[job.outcome]
    done = work_tip(job) or work(job)
    facts = (
        (tr("Job"), job.id),
        (tr("Customer"), job.customer),
        (tr("Model"), job.model or "–"),
        (tr("Ran on"), device),
        (tr("Asked"), full_time(job.queued_at)),
        (tr("Began"), full_time(job.started_at) or tr("not yet")),
        (tr("Ended"), full_time(job.ended_at) or tr("not yet")),
        (tr("Took"), took(job, now) or "–"),
        (tr("Work"), done or "–"),
        (tr("Earned"), exact_amount(job.earned, symbol)),
    )
    return JobView(
        kind_name(job.kind),
        Words(tr(text), tone),
        tr(MEANINGS[job.outcome]),
        facts,
        job.log or tr("Nothing was written to its log."),
    )


def bars(jobs: Sequence[JobStatus], now: float, slots: int = 30) -> tuple[tuple[str, str], ...]:
    """The last jobs that have ended, oldest first, as (proven | missed, tip): what ended as it should, and what not."""
    ended = [job for job in sorted(jobs, key=lambda job: job.queued_at) if job.ended_at is not None][-slots:]
    return tuple(
        (
            "missed" if job.outcome in _MISSED else "proven",
            f"{kind_name(job.kind)}, {short(job.model)}\n{tr(OUTCOMES[job.outcome][0])}, {when(now, job.ended_at)}",
        )
        for job in ended
    )
