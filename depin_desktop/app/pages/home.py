"""Home: what was earned, whether this machine shares, what happens now, and what the machine is."""

from __future__ import annotations

from PySide6.QtWidgets import QBoxLayout, QVBoxLayout, QWidget

from depin_desktop.app.known import Known
from depin_desktop.app.pages.base import GAP, Actions, Page, PageHead, show_switch
from depin_desktop.app.pages.home_cards import ActivityCard, EarningsCard, MachineCard
from depin_desktop.app.pages.service_cards import ComputeCard, StorageCard
from depin_desktop.app.presenters import common
from depin_desktop.app.presenters import home as say
from depin_desktop.app.presenters.machine import machine_rows
from depin_desktop.app.presenters.storage import proofs
from depin_desktop.app.widgets.banner import Banner
from depin_desktop.app.words import tr

WIDE_PX = 900
SIDE_PX = 300
MAX_ADVICE = 3


class HomePage(Page):
    """One column when narrow; a side column with banners and activity when wide."""

    def __init__(self, actions: Actions) -> None:
        super().__init__(tr("Home"), actions)
        self.head = PageHead("", facts_below=True)
        self._switch_label, self.switch = self.head.add_switch(tr("Sharing"))
        self.switch.clicked.connect(actions.set_sharing)
        self.earnings = EarningsCard()
        self.storage = StorageCard()
        self.storage.begin.connect(actions.add_folder)
        self.storage.manage.connect(lambda: actions.open_page("storage"))
        self.compute = ComputeCard()
        self.compute.begin.connect(lambda: actions.compute.share(True))
        self.compute.manage.connect(lambda: actions.open_page("compute"))
        self.machine = MachineCard()
        self.activity = ActivityCard()
        self.backup = Banner()
        self.backup.pressed.connect(lambda _: actions.wallet.back_up())
        self.advice = [Banner() for _ in range(MAX_ADVICE)]
        self._lay_out()

    def _lay_out(self) -> None:
        self._pair = QWidget()
        pair = QBoxLayout(QBoxLayout.Direction.LeftToRight, self._pair)
        pair.setContentsMargins(0, 0, 0, 0)
        pair.setSpacing(GAP)
        pair.addWidget(self.storage, 1)
        pair.addWidget(self.compute, 1)
        main = QVBoxLayout()
        main.setSpacing(GAP)
        main.addWidget(self.earnings, 2)
        main.addWidget(self._pair, 3)
        self._side = QWidget()
        side = QVBoxLayout(self._side)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(GAP)
        side.addWidget(self.activity, 1)
        side.addWidget(self.machine)
        self._notices = QWidget()
        notices = QVBoxLayout(self._notices)
        notices.setContentsMargins(0, 0, 0, 0)
        notices.setSpacing(GAP)
        for banner in (self.backup, *self.advice):
            notices.addWidget(banner)
        self._side_column, self._wide = side, False
        self._whole = QBoxLayout(QBoxLayout.Direction.LeftToRight)
        self._whole.setSpacing(GAP)
        self._whole.addLayout(main, 1)
        self._whole.addWidget(self._side)
        self.column.addWidget(self.head)
        self.column.addWidget(self._notices)
        self.column.addLayout(self._whole, 1)

    def arrange(self, width: int) -> None:
        wide = width >= WIDE_PX
        self._whole.setDirection(QBoxLayout.Direction.LeftToRight if wide else QBoxLayout.Direction.TopToBottom)
        self._side.setMinimumWidth(SIDE_PX if wide else 0)
        self._side.setMaximumWidth(SIDE_PX if wide else 16_777_215)
        self.activity.setMinimumHeight(0 if wide else 300)
        if wide != self._wide:
            self._wide = wide
            self._place_notices()

    def _place_notices(self) -> None:
        """What asks for attention stands at the upper right, or first of all where there is one column."""
        if self._wide:
            self.column.removeWidget(self._notices)
            self._side_column.insertWidget(0, self._notices)
        else:
            self._side_column.removeWidget(self._notices)
            self.column.insertWidget(1, self._notices)

    def present(self, known: Known, now: float) -> None:
        self.head.title.say(say.greeting(now))
        self.head.facts.say(say.summary(known, now))
        show_switch(self._switch_label, self.switch, common.sharing_switch(known, self.controller.switching))
        self.earnings.show_view(say.earnings(known), say.earnings_series(known.status), known.symbol)
        rates, records = (known.storage.rates, known.storage.proofs) if known.storage else ((), ())
        self.storage.show_view(
            say.storage_card(known, now), rates, proofs(records, known.symbol, now), known.symbol, known.link.live
        )
        self.compute.show_view(say.compute_card(known, now), known.symbol, known.link.live)
        self.machine.show_rows(machine_rows(known.inventory), known.inventory, now)
        self.activity.show_rows(say.activity_rows(known), loading=known.status is None)
        self.compute.empty.button.set_kind("plain" if self.storage.invites else "filled")
        backup = say.backup(known)
        self.backup.setVisible(backup is not None)
        if backup is not None:
            kind = "plain" if self.storage.invites or self.compute.invites else "filled"  # one filled button a view
            self.backup.say(
                backup.headline, backup.sentence, backup.tone, backup.action, backup.action_label, kind=kind
            )
        advice = say.advice(known)
        self._notices.setVisible(backup is not None or bool(advice))
        for index, banner in enumerate(self.advice):
            banner.setVisible(index < len(advice))
            if index < len(advice):
                banner.say("", advice[index].sentence, advice[index].tone)
        self.show_away(known.status is not None and not known.link.live)
