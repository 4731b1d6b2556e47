"""Storage: shared folders with their sizes, transfer rates, proofs, and the customers' data sets."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QStackedWidget, QWidget

from depin_desktop.api.models import DataSetStatus, Inventory, RatePoint, SharedFolder, StorageStatus
from depin_desktop.app.known import Known
from depin_desktop.app.pages.base import GAP, Actions, Page, PageHead, show_switch
from depin_desktop.app.pages.folder_card import FolderCard
from depin_desktop.app.presenters import common
from depin_desktop.app.presenters import storage as say
from depin_desktop.app.widgets.banner import EmptyState
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card, CardHead
from depin_desktop.app.widgets.figure import Labelled
from depin_desktop.app.widgets.plot import Plot, ProofBars
from depin_desktop.app.widgets.table import Rows, Table
from depin_desktop.app.widgets.text import Text
from depin_desktop.app.words import clock, tr
from depin_desktop.core.units import format_rate

TWO_COLUMNS_PX = 860
MOST_ROWS = 60  # beyond that the table scrolls by itself


class StoragePage(Page):
    """Everything about shared disks."""

    def __init__(self, actions: Actions) -> None:
        super().__init__(tr("Storage"), actions)
        self.head = PageHead(tr("Storage"), facts_below=False)
        self.add = Button(tr("Add folder…"), icon="plus", tip=tr("Share another folder (Ctrl+N)"))
        self.add.clicked.connect(actions.add_folder)
        self.head.right.addWidget(self.add)
        self._switch_label, self.switch = self.head.add_switch(tr("Sharing"))
        self.switch.clicked.connect(actions.set_sharing)
        self.empty_card = Card()
        self.empty = EmptyState(
            "folder",
            tr("No folder is shared"),
            tr(
                "Pick a folder on a disk with room to spare and say how much. What customers store there is encrypted "
                "before it reaches you; you are paid for every period in which this machine proves "
                "that it is still there."
            ),
            tr("Share a folder…"),
        )
        self.empty.pressed.connect(actions.add_folder)
        self.empty_card.body.addWidget(self.empty)
        self._folders: dict[str, FolderCard] = {}
        self._columns = 2
        self._order: list[str] = []
        self._grid_host = QWidget()
        self._grid = QGridLayout(self._grid_host)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP)
        self.rates = RatesRow()
        self.sets = DataSetsCard(actions)
        self.column.addWidget(self.head)
        self.column.addWidget(self._grid_host)
        self.column.addWidget(self.empty_card, 1)
        self.column.addWidget(self.rates)
        self.column.addWidget(self.sets, 1)

    def arrange(self, width: int) -> None:
        columns = 2 if width >= TWO_COLUMNS_PX else 1
        if columns != self._columns:
            self._columns = columns
            self._place_folders()

    def present(self, known: Known, now: float) -> None:
        storage = known.storage
        pill, facts = common.storage_pill(known, now), say.page_facts(storage, now)
        self.head.pill.say(pill.text, pill.tone, pill.tip)
        self.head.facts.say(facts.text, tip=facts.tip)
        show_switch(self._switch_label, self.switch, common.sharing_switch(known, self.controller.switching))
        self.add.setEnabled(known.link.live)
        shared = bool(storage and storage.folders)
        self.add.setVisible(shared)
        self.empty_card.setVisible(not shared)
        self._grid_host.setVisible(shared)
        has_history = bool(storage and (storage.data_sets or storage.proofs or len(storage.rates) > 1))
        self.rates.setVisible(shared or has_history)
        self.sets.setVisible(shared or has_history)
        if storage is None:
            self.empty.say(tr("Reading…"), tr("The engine has not told yet what is shared."))
            self.empty.button.hide()
        else:
            self.empty.button.show()
            self.empty.button.setEnabled(known.link.live)
            self._say_empty()
            self._show_folders(storage.folders, known.inventory, now, known.link.live)
            self.rates.show_rates(storage.rates)
            self.rates.show_proofs(storage, known, now)
            self.sets.show_sets(storage.data_sets, now)
        self.show_away(storage is not None and not known.link.live)

    def _say_empty(self) -> None:
        self.empty.say(
            tr("No folder is shared"),
            tr(
                "Pick a folder on a disk with room to spare and say how much. What customers store there is encrypted "
                "before it reaches you; you are paid for every period in which this machine proves "
                "that it is still there."
            ),
        )

    def _show_folders(
        self, folders: Sequence[SharedFolder], inventory: Inventory | None, now: float, live: bool
    ) -> None:
        order = [folder.id for folder in folders]
        for folder in folders:
            if folder.id not in self._folders:
                self._folders[folder.id] = FolderCard(self.controller)
            self._folders[folder.id].show_folder(folder, say.folder_card(folder, inventory, now, live))
        if order != self._order:
            for gone in set(self._order) - set(order):
                self._folders.pop(gone).deleteLater()
            self._order = order
            self._place_folders()

    def _place_folders(self) -> None:
        for index, identity in enumerate(self._order):
            card = self._folders[identity]
            self._grid.removeWidget(card)
            alone = len(self._order) == 1 or self._columns == 1
            self._grid.addWidget(card, index // self._columns if not alone else index, 0 if alone else index % 2)
        self._order_tabs()
        self._grid.setColumnStretch(0, 1)
        self._grid.setColumnStretch(1, 0 if self._columns == 1 or len(self._order) == 1 else 1)

    def _order_tabs(self) -> None:
        """Cards that were made later must not be reached after what stands below them."""
        before: QWidget = self.switch
        for card in self.folder_cards:
            for control in (card.sizes.slider, card.sizes.field, card.stop):
                QWidget.setTabOrder(before, control)
                before = control
        QWidget.setTabOrder(before, self.sets.table)

    @property
    def folder_cards(self) -> list[FolderCard]:
        """The cards on screen, in order."""
        return [self._folders[identity] for identity in self._order]


class _RateCard(Card):
    def __init__(self, name: str, series: int, direction: str, empty: str) -> None:
        super().__init__(spacing=8)
        self._direction = direction
        self.setMinimumHeight(150)
        self.label = Labelled(name)
        self.plot = Plot(series, tick=clock, tell=lambda at, rate: f"{format_rate(rate)} · {clock(at)}", empty=empty)
        self.body.addWidget(self.label)
        self.body.addWidget(self.plot, 1)

    def show_rates(self, rates: Sequence[RatePoint]) -> None:
        number, unit = say.current_rate(rates, self._direction)
        self.label.figure.say(number, unit)
        self.plot.show_points([(point.at, getattr(point, self._direction)) for point in rates], f"{number} {unit}")


class RatesRow(QWidget):
    """What comes in, what goes out, and how proving went."""

    def __init__(self) -> None:
        super().__init__()
        quiet = tr("Nothing moved yet")
        self.received = _RateCard(tr("Down from customers"), 0, "received", quiet)
        self.sent = _RateCard(tr("Up to customers"), 1, "sent", quiet)
        self.proofs = Card(spacing=8)
        self.proof_label = Labelled(tr("Proofs, last 30 periods"))
        self.bars = ProofBars()
        self.last = Text("", "caption", "faint", elide=Qt.TextElideMode.ElideRight)
        self.caution = Text("", "caption", "faint", wrap=True)
        self.proofs.body.addWidget(self.proof_label)
        self.proofs.body.addWidget(self.bars, 1)
        self.proofs.body.addWidget(self.last)
        self.proofs.body.addWidget(self.caution)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GAP)
        for card in (self.received, self.sent, self.proofs):
            row.addWidget(card, 1)

    def show_rates(self, rates: Sequence[RatePoint]) -> None:
        self.received.show_rates(rates)
        self.sent.show_rates(rates)

    def show_proofs(self, storage: StorageStatus, known: Known, now: float) -> None:
        view = say.proofs(storage.proofs, known.symbol, now)
        self.proof_label.figure.say(view.proven, view.of)
        self.bars.show_bars(view.bars, view.sentence)
        self.last.say(view.last.text, view.last.tone, view.last.tip)
        caution = say.proof_caution(known)
        self.caution.say(caution)
        self.caution.setVisible(bool(caution))


class DataSetsCard(Card):
    """One row a customer's data set."""

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self.head = CardHead(tr("Data sets"))
        self.summary = Text("", "caption", "muted", elide=Qt.TextElideMode.ElideRight)
        self.head.row.insertWidget(2, self.summary)
        self.rows: Rows[DataSetStatus] = Rows(
            say.DATA_SET_COLUMNS, say.data_set_cell, say.data_set_sort_key, right=say.DATA_SET_RIGHT, ticking=(4, 5)
        )
        self.table = Table(
            tr("Data sets"),
            self.rows,
            give_way=(2, 3),
            pills=(5,),
            newest_first=6,
            copy_row=lambda entry: "\t".join((entry.customer, str(entry.stored_bytes), str(entry.pieces), entry.id)),
        )
        self.empty = EmptyState(
            "network",
            tr("No customer yet"),
            tr(
                "Your offer is in the hub. When a customer takes it, their data set appears here "
                "with its price and proofs."
            ),
        )
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.table)
        self.body.addWidget(self.head)
        self.body.addWidget(self._stack, 1)

    def show_sets(self, entries: Sequence[DataSetStatus], now: float) -> None:
        self._stack.setCurrentIndex(1 if entries else 0)
        self.summary.say(say.data_sets_summary(entries) if entries else "")
        self.rows.show_entries(entries, now)
        self.table.setMinimumHeight(self.table.wanted_height(MOST_ROWS) if entries else 0)
