"""The customers' jobs, now and before; a click or Enter tells all of one."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QStackedWidget

from depin_desktop.api.compute import JobStatus
from depin_desktop.app.fonts import font
from depin_desktop.app.known import Known
from depin_desktop.app.pages.base import ComputeActions
from depin_desktop.app.presenters import jobs as say
from depin_desktop.app.presenters.compute import device_name
from depin_desktop.app.widgets.banner import EmptyState
from depin_desktop.app.widgets.card import Card, CardHead
from depin_desktop.app.widgets.table import Rows, Table
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import Words, tr

MOST_ROWS = 40  # beyond that the table scrolls by itself


class JobsCard(Card):
    """The newest first."""

    def __init__(self, actions: ComputeActions) -> None:
        super().__init__()
        self._known = Known()
        self.head = CardHead(tr("Jobs"))
        self.summary = Text("", "caption", "muted", elide=Qt.TextElideMode.ElideRight)
        self.head.row.insertWidget(2, self.summary)
        self.filter = QComboBox()
        self.filter.setAccessibleName(tr("Which jobs"))
        self.filter.setProperty("compact", True)
        self.filter.setFont(font("secondary"))
        for key, name in say.FILTERS:
            self.filter.addItem(tr(name), key)
        self.filter.currentIndexChanged.connect(self._filter)
        self.head.add_right(self.filter)
        self.rows: Rows[JobStatus] = Rows(say.COLUMNS, self._cell, say.sort_key, right=say.RIGHT, ticking=(0, 4))
        self.table = Table(
            tr("Jobs"),
            self.rows,
            give_way=(3, 2),
            pills=(6,),
            two_lines=say.TWO_LINES,
            newest_first=0,
            copy_row=say.copied,
        )
        self.table.opened.connect(actions.show_job)
        self.empty = EmptyState("chip", "", "")
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.table)
        self.body.addWidget(self.head)
        self.body.addWidget(self._stack, 1)

    def _cell(self, job: JobStatus, column: int, now: float) -> Words:
        return say.cell(job, column, now, device_name(job.device, self._known), self._known.symbol)

    def _filter(self) -> None:
        chosen = str(self.filter.currentData())
        self.table.order.filter_by(None if chosen == "all" else lambda job: say.matches(job, chosen))
        self._show_empty()

    def show_jobs(self, known: Known, now: float) -> None:
        self._known = known
        compute = known.compute
        jobs = compute.jobs if compute else ()
        told = say.summary(compute) if compute and jobs else Words("")
        self.summary.say(told.text, told.tone, told.tip)
        self.filter.setEnabled(bool(jobs))
        self.rows.show_entries(jobs, now)
        if str(self.filter.currentData()) != "all":
            self.table.order.invalidate()
        self._show_empty()
        self.table.setMinimumHeight(self.table.wanted_height(MOST_ROWS) if jobs else 0)

    def _show_empty(self) -> None:
        shown = self.table.order.rowCount()
        self._stack.setCurrentIndex(1 if shown else 0)
        if shown:
            return
        if self._known.compute is None:
            self.empty.say(tr("Reading…"), tr("The engine has not told yet."))
        elif self.rows.rowCount():
            self.empty.say(tr("No such job"), tr("Choose “All jobs” to see the others."))
        else:
            self.empty.say(
                tr("No job yet"),
                tr("Your offer is in the hub. The first customer’s job appears here, with what it pays."),
            )
