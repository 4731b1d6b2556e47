"""Tables of snapshots: one model for any row type, ordered and filtered, copyable, with relative times that tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QFontMetricsF, QGuiApplication, QKeyEvent, QKeySequence, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from depin_desktop.app.fonts import font
from depin_desktop.app.theme import colour
from depin_desktop.app.widgets.text import plain_tip
from depin_desktop.app.words import Words, tr

Entry = TypeVar("Entry")
Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT, TWO_LINE_HEIGHT = 40, 54
SORT_ROLE = Qt.ItemDataRole.UserRole
TONE_ROLE = Qt.ItemDataRole.UserRole + 1
PILL_TONES = ("info", "warning", "fault")


class Rows(QAbstractTableModel, Generic[Entry]):
    """Immutable entries, and functions that say what a cell shows and what a column is ordered by."""

    def __init__(
        self,
        columns: Sequence[str],
        cell: Callable[[Entry, int, float], Words],
        sort_key: Callable[[Entry, int], float | str],
        *,
        right: frozenset[int] = frozenset(),
        ticking: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self._columns, self._cell, self._sort_key = columns, cell, sort_key
        self._right, self._ticking = right, ticking
        self._entries: Sequence[Entry] = ()
        self._now = 0.0

    def show_entries(self, entries: Sequence[Entry], now: float) -> None:
        """Replaces what is shown; equal entries only let their ages tick."""
        self._now = now
        if entries == self._entries:
            self._tick()
            return
        if len(entries) == len(self._entries):
            self._entries = entries
            self.dataChanged.emit(self.index(0, 0), self.index(len(entries) - 1, len(self._columns) - 1))
            return
        self.beginResetModel()
        self._entries = entries
        self.endResetModel()

    def _tick(self) -> None:
        for column in self._ticking if self._entries else ():
            last = self.index(len(self._entries) - 1, column)
            self.dataChanged.emit(self.index(0, column), last, [Qt.ItemDataRole.DisplayRole])

    def entry(self, row: int) -> Entry:
        return self._entries[row]

    @property
    def entries(self) -> Sequence[Entry]:
        return self._entries

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  # Qt's own signature
        return 0 if parent.isValid() else len(self._entries)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return tr(self._columns[section])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(section)
        return font("caption") if role == Qt.ItemDataRole.FontRole else None

    def _alignment(self, column: int) -> Qt.AlignmentFlag:
        side = Qt.AlignmentFlag.AlignRight if column in self._right else Qt.AlignmentFlag.AlignLeft
        return side | Qt.AlignmentFlag.AlignVCenter

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        entry, column = self._entries[index.row()], index.column()
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(column)
        if role == SORT_ROLE:
            return self._sort_key(entry, column)
        words = self._cell(entry, column, self._now)
        if role == Qt.ItemDataRole.DisplayRole:
            return words.text
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return words.text.replace("\n", ", ")
        if role == Qt.ItemDataRole.ForegroundRole:
            return colour(words.tone)
        if role == TONE_ROLE:
            return words.tone
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(words.tip) or None
        return None


class Order(QSortFilterProxyModel):
    """Orders by value, not by text, and lets a function filter."""

    def __init__(self, rows: Rows[Any]) -> None:
        super().__init__()
        self._rows = rows
        self._accepts: Callable[[Any], bool] | None = None
        self.setSourceModel(rows)
        self.setSortRole(SORT_ROLE)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        text = super().headerData(section, orientation, role)
        if role == Qt.ItemDataRole.DisplayRole and section == self.sortColumn():
            return f"{text} {'↓' if self.sortOrder() is Qt.SortOrder.DescendingOrder else '↑'}"
        return text

    def filter_by(self, accepts: Callable[[Any], bool] | None) -> None:
        self.beginFilterChange()
        self._accepts = accepts
        self.endFilterChange()

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:
        return self._accepts is None or self._accepts(self._rows.entry(source_row))


class _PillDelegate(QStyledItemDelegate):
    """Draws a state as a pill where its tone asks for one."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        tone = index.data(TONE_ROLE)
        if tone not in PILL_TONES:
            super().paint(painter, option, index)
            return
        blank = QStyleOptionViewItem(option)
        self.initStyleOption(blank, index)
        blank.text = ""
        blank.widget.style().drawControl(
            blank.widget.style().ControlElement.CE_ItemViewItem, blank, painter, blank.widget
        )
        text = str(index.data())
        width = QFontMetricsF(font("pill")).horizontalAdvance(text) + 18
        box = QRectF(option.rect.left() + 8, option.rect.center().y() - 10, width, 22)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour(f"{tone}_soft"))
        painter.drawRoundedRect(box, 11, 11)
        painter.setPen(colour(tone))
        painter.setFont(font("pill"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
        painter.restore()


class _TwoLineDelegate(QStyledItemDelegate):
    """Draws a cell's first line as it is and its second one smaller and muted below it."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        blank = QStyleOptionViewItem(option)
        self.initStyleOption(blank, index)
        first, _, second = str(index.data()).partition("\n")
        blank.text = ""
        blank.widget.style().drawControl(
            blank.widget.style().ControlElement.CE_ItemViewItem, blank, painter, blank.widget
        )
        side = Qt.AlignmentFlag(index.data(Qt.ItemDataRole.TextAlignmentRole)) & Qt.AlignmentFlag.AlignHorizontal_Mask
        room = QRectF(option.rect).adjusted(8, 0, -8, 0)
        painter.save()
        painter.setFont(font("body"))
        painter.setPen(colour(str(index.data(TONE_ROLE))))
        upper = room.adjusted(0, 7, 0, -room.height() / 2 + 2) if second else room
        painter.drawText(upper, side | Qt.AlignmentFlag.AlignVCenter, first)
        painter.setFont(font("caption"))
        painter.setPen(colour("muted"))
        painter.drawText(room.adjusted(0, room.height() / 2, 0, -7), side | Qt.AlignmentFlag.AlignVCenter, second)
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        first, _, second = str(index.data()).partition("\n")
        widths = (
            QFontMetricsF(font(role)).horizontalAdvance(line) for role, line in (("body", first), ("caption", second))
        )
        return QSize(round(max(widths)) + 12, TWO_LINE_HEIGHT)


class Table(QTableView):
    """A calm table: rows with a line under them, no grid, whole rows selected, Ctrl+C copies them.

    Signals: `opened(entry)` on a click or Enter, where there is more to tell; `removed()` on Delete.

    Args:
        give_way: columns that are hidden, in this order, while the table is too narrow for all.
        copy_row: an entry as text for the clipboard.
        two_lines: columns whose texts have a second line; all rows are higher then.
    """

    opened = Signal(object)
    removed = Signal()

    def __init__(
        self,
        name: str,
        rows: Rows[Entry],
        *,
        give_way: Sequence[int] = (),
        copy_row: Callable[[Entry], str] | None = None,
        pills: Sequence[int] = (),
        newest_first: int | None = None,
        ascending: int | None = None,
        two_lines: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self._rows, self._copy_row = rows, copy_row
        self.order = Order(rows)
        self.setModel(self.order)
        self.setAccessibleName(name)
        self.setFont(font("body"))
        self.setShowGrid(False)
        self.setSortingEnabled(True)
        self.setAlternatingRowColors(False)
        self.setFrameShape(self.Shape.NoFrame)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setTabKeyNavigation(False)  # Tab leaves the table; the arrows move inside it
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self._row_height = TWO_LINE_HEIGHT if two_lines else ROW_HEIGHT
        self.verticalHeader().setDefaultSectionSize(self._row_height)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setMinimumSectionSize(40)
        self._give_way = give_way
        self._fit_soon = QTimer(self)
        self._fit_soon.setSingleShot(True)
        self._fit_soon.timeout.connect(self._fit)
        for changed in (self.order.rowsInserted, self.order.rowsRemoved, self.order.modelReset, self.order.dataChanged):
            changed.connect(self._fit_later)
        header.setSortIndicatorClearable(False)
        if ascending is not None:
            self.sortByColumn(ascending, Qt.SortOrder.AscendingOrder)
        else:
            self.sortByColumn(newest_first or 0, Qt.SortOrder.DescendingOrder)
        self.clicked.connect(self._open)
        self._delegate = _PillDelegate(self)
        for column in pills:
            self.setItemDelegateForColumn(column, self._delegate)
        self._two_lines = _TwoLineDelegate(self)
        for column in two_lines:
            self.setItemDelegateForColumn(column, self._two_lines)

    def _fit_later(self, *_: object) -> None:
        if not self._fit_soon.isActive():
            self._fit_soon.start(0)

    def _fit(self) -> None:
        """Gives every column what it needs, and each the same share of what is left."""
        header, room = self.horizontalHeader(), self.viewport().width()
        wanted = [
            max(self.sizeHintForColumn(column) + 12, header.sectionSizeHint(column) + 18)
            for column in range(self.order.columnCount())
        ]
        hidden: set[int] = set()
        for column in self._give_way:
            if sum(width for at, width in enumerate(wanted) if at not in hidden) <= room:
                break
            hidden.add(column)
        shown = [column for column in range(len(wanted)) if column not in hidden]
        spare = max(0, room - sum(wanted[column] for column in shown))
        for column in range(len(wanted)):
            self.setColumnHidden(column, column in hidden)
        for index, column in enumerate(shown):
            extra = spare * (index + 1) // len(shown) - spare * index // len(shown)
            header.resizeSection(column, wanted[column] + extra)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def sizeHintForRow(self, row: int) -> int:
        return self._row_height

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 34 + 2 * ROW_HEIGHT)

    def wanted_height(self, most_rows: int) -> int:
        """The height that shows all rows, up to `most_rows`."""
        return 36 + self._row_height * max(1, min(most_rows, self.order.rowCount()))

    def _open(self, index: QModelIndex) -> None:
        self.opened.emit(self._rows.entry(self.order.mapToSource(index).row()))

    def copy_selection(self) -> str:
        """Puts the selected rows on the clipboard, whole values, and returns them."""
        if self._copy_row is None:
            return ""
        chosen = sorted(self.selectionModel().selectedRows(), key=lambda index: index.row())
        text = "\n".join(self._copy_row(self._rows.entry(self.order.mapToSource(index).row())) for index in chosen)
        if text:
            QGuiApplication.clipboard().setText(text)
        return text

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_selection()
            return
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self._open(self.currentIndex())
            return
        if event.matches(QKeySequence.StandardKey.Delete):
            self.removed.emit()
            return
        super().keyPressEvent(event)
