"""Compute: what this machine's processor and cards do for others, what that earns, and how much of them it may use."""

from __future__ import annotations

from functools import partial

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QGridLayout, QMenu, QWidget

from depin_desktop.app.known import Known
from depin_desktop.app.pages.base import GAP, Actions, Page, PageHead, show_switch
from depin_desktop.app.pages.device_card import DeviceCard, EarnedCard
from depin_desktop.app.pages.jobs_card import JobsCard
from depin_desktop.app.pages.models_card import ModelsCard
from depin_desktop.app.pages.rules import RulesView
from depin_desktop.app.presenters import compute as say
from depin_desktop.app.presenters import hours, rules
from depin_desktop.app.widgets.banner import Banner, EmptyState
from depin_desktop.app.widgets.buttons import Button
from depin_desktop.app.widgets.card import Card
from depin_desktop.app.widgets.segments import Segments
from depin_desktop.app.words import tr

TWO_COLUMNS_PX, THREE_COLUMNS_PX = 860, 960
WORK, RULES = 0, 1
DEVICE_SERIES = (0, 1, 2, 3)


class ComputePage(Page):
    """Two views: the work, and the owner's rules for it."""

    def __init__(self, actions: Actions) -> None:
        super().__init__(tr("Compute"), actions)
        self._actions = actions.compute
        self._now = 0.0
        self.finish_current = True  # the gentler way of pausing is the one that is offered
        self.head = PageHead(tr("Compute"), facts_below=False)
        self.pause = Button(tr("Pause…"), tip=tr("Pause work for a while"))
        self.pause.clicked.connect(self._pause)
        self.head.right.addWidget(self.pause)
        self._switch_label, self.switch = self.head.add_switch(tr("Share compute"))
        self.switch.clicked.connect(self._actions.share)
        self.notice = Banner(wide=True)
        self.notice.pressed.connect(self._act)
        self.views = Segments(tr("What to show"), (tr("Work"), tr("Rules")))
        self.views.chosen.connect(self._show_view)
        self._make_devices()
        self._make_invitation()
        self.models = ModelsCard(self._actions)
        self.jobs = JobsCard(self._actions)
        self.rules = RulesView(self._actions)
        self.rules.hide()
        self.column.addWidget(self.head)
        self.column.addWidget(self.notice)
        self.column.addWidget(self.views)
        self.column.addWidget(self._grid_host)
        self.column.addWidget(self.invitation)
        self.column.addWidget(self.models)
        self.column.addWidget(self.jobs, 1)
        self.column.addWidget(self.rules, 1)
        self._known = Known()

    def _make_devices(self) -> None:
        self._width = 0
        self._devices: dict[str, DeviceCard] = {}
        self.earned = EarnedCard()
        self._grid_host = QWidget()
        self._grid = QGridLayout(self._grid_host)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(GAP)

    def _make_invitation(self) -> None:
        self.invitation = Card()
        self.invite = EmptyState(
            "chip",
            tr("Let this machine work for others"),
            tr(
                "Customers send questions to language models, texts to index and small programs. Each job runs closed "
                "off, without your files and without the network, within your rules, and pays while it runs."
            ),
            tr("Share compute"),
        )
        self.invite.pressed.connect(lambda: self._actions.share(True))
        self.invitation.body.addWidget(self.invite)

    # --- what is shown

    def present(self, known: Known, now: float) -> None:
        self._known, self._now = known, now
        compute, live = known.compute, known.link.live
        pill, facts = say.pill(known, now), say.facts(known)
        self.head.pill.say(pill.text, pill.tone, pill.tip)
        self.head.facts.say(facts.text, tip=facts.tip)
        show_switch(self._switch_label, self.switch, say.switch(known, self._actions.switching))
        paused = known.controls is not None and known.controls.pause is not None
        self.pause.setVisible(known.controls is not None and not paused and compute is not None and compute.shared)
        self.pause.setEnabled(live)
        notice = say.notice(known, now)
        self.notice.setVisible(notice is not None)
        if notice is not None:
            self.notice.say(notice.headline, notice.sentence, notice.tone, notice.action, notice.action_label)
        self._show_view(self._shown)
        self.earned.show_view(say.earned(known))
        self._show_devices(known)
        if self._shown == RULES:
            self.rules.show_rules(known, self.views.buttons[RULES])
        else:
            self.models.show_models(known, now)
            self.jobs.show_jobs(known, now)
            self.invite.button.setEnabled(live and not self._actions.switching)
        self.show_away(compute is not None and not live)

    @property
    def _shown(self) -> int:
        return RULES if self.views.buttons[RULES].isChecked() else WORK

    def _show_view(self, index: int) -> None:
        compute = self._known.compute
        invites = compute is not None and not compute.shared and not compute.jobs
        work = index == WORK
        self._grid_host.setVisible(work)
        self.invitation.setVisible(work and invites)
        self.models.setVisible(work and not (invites and compute is not None and not compute.models))
        self.jobs.setVisible(work and not invites)
        self.rules.setVisible(not work)
        if not work:
            self.rules.show_rules(self._known, self.views.buttons[RULES])

    def _show_devices(self, known: Known) -> None:
        views = say.devices(known)
        order = [view.id for view in views]
        if order != list(self._devices):
            for gone in set(self._devices) - set(order):
                card = self._devices.pop(gone)
                card.hide()
                card.deleteLater()
            self._devices = {
                device: self._devices.get(device)
                or DeviceCard(partial(self._use, device), DEVICE_SERIES[index % len(DEVICE_SERIES)])
                for index, device in enumerate(order)
            }
            self._place()
        for view in views:
            self._devices[view.id].show_device(view, known.loads.get(view.id, ()))

    def _place(self) -> None:
        """Earnings first, then what earns; a last card without a neighbour has the whole row."""
        cards = [self.earned, *self._devices.values()]
        columns = 3 if self._width >= THREE_COLUMNS_PX and len(cards) % 3 == 0 else 2
        columns = 1 if self._width < TWO_COLUMNS_PX else columns
        for index, card in enumerate(cards):
            self._grid.removeWidget(card)
            alone = index == len(cards) - 1 and index % columns == 0
            self._grid.addWidget(card, index // columns, index % columns, 1, columns if alone else 1)
        for column in range(3):
            self._grid.setColumnStretch(column, 1 if column < columns else 0)

    def arrange(self, width: int) -> None:
        self.rules.arrange(width)
        if width != self._width:
            self._width = width
            self._place()

    @property
    def device_cards(self) -> list[DeviceCard]:
        """The cards on screen, in order."""
        return list(self._devices.values())

    # --- what is wished

    def _use(self, card: str, on: bool) -> None:
        self._actions.change_rules(lambda wishes: rules.used(wishes, card, on))

    def _act(self, action: str) -> None:
        if action == "resume":
            self._actions.resume()
        elif action == "share":
            self.controller.set_sharing(True)
        elif action == "rules":
            self.views.choose(RULES)

    def _pause(self) -> None:
        self.menu = self.made_menu(self._now)
        corner = self.pause.mapToGlobal(self.pause.rect().bottomLeft())
        corner.setY(corner.y() + 4)
        self.menu.popup(corner)

    def _choose_finish(self, on: bool) -> None:
        self.finish_current = on

    def made_menu(self, now: float) -> QMenu:
        """What a press on “Pause…” offers; made anew each time, as its times are relative."""
        menu = QMenu(self)
        menu.setAccessibleName(tr("Pause work"))
        menu.aboutToHide.connect(menu.deleteLater)
        finish = QAction(tr("Let running jobs finish first"), menu, checkable=True)
        finish.setChecked(self.finish_current)
        finish.toggled.connect(self._choose_finish)
        for snooze in hours.snoozes(now):
            action = menu.addAction(snooze.text)
            action.triggered.connect(
                lambda _=False, seconds=snooze.seconds: self._actions.pause(seconds, finish.isChecked())
            )
        menu.addSeparator()
        menu.addAction(finish)
        return menu
