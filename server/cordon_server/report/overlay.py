"""One feature at all hospitals in one drawing: a line and the band of its noise for each.

Cells are public and drawn equally wide. What may not be shown is neither drawn nor bridged: a
small mark under the axis says where it was left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from cordon_server.report.charts import Scale, box, line, n, nice_ticks, path, svg, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cordon_server.report.charts import Point

COLOURS, SHAPES = 8, 6
_WIDTH, _LEFT, _TOP, _BASE = 340.0, 36.0, 8.0, 122.0
_ASIDE, _GAP = 45.0, 16.0
_LANES = 32.0
"""Height of all marks of what is suppressed together, at most."""
_LETTER = 5.8
"""Width of a letter of an axis, about."""


@dataclass(frozen=True)
class Share:
    """A share of a hospital's patients, and the reach of its noise to either side.

    value: None is suppressed. Both in [0, 1], but for noise.
    """

    value: float | None
    reach: float

    def words(self) -> str:
        """Write it in per cent."""
        if self.value is None:
            return "not shown"
        return f"{100 * min(max(self.value, 0), 1):.0f} % ± {100 * self.reach:.0f}"


@dataclass(frozen=True)
class Trace:
    """A hospital's part of a drawing. place: of the hospital among all, for colour and shape.

    cells: one share for each value cell; aside: one for each column beside them (missing …).
    """

    site: str
    place: int
    cells: tuple[Share, ...]
    aside: tuple[Share, ...]


@dataclass(frozen=True)
class Axis:
    """What the cells are called. edges: the numbers at their borders, or empty for categories."""

    names: tuple[str, ...]
    edges: tuple[float, ...]
    aside: tuple[str, ...]


def overlay(axis: Axis, traces: Sequence[Trace], title: str) -> Markup:
    """Draw the traces over each other; the columns beside the cells stand apart."""
    frame = _Frame(axis, traces)
    parts = frame.back()
    for place, trace in enumerate(traces):
        parts.append(_group(trace, [*frame.bands(trace)]))
        parts.append(_group(trace, [*frame.lost(trace, place)]))
    for place, trace in enumerate(traces):
        parts.append(_group(trace, [*frame.lines(trace), *frame.spots(trace, place)]))
    return svg(_WIDTH, frame.bottom + 18, title, parts, kind="spread")


def swatch(place: int) -> Markup:
    """Draw a hospital's sign for the legend; the name stands beside it."""
    return Markup(  # noqa: S704 - numbers of ours only
        f'<svg class="swatch c{place % COLOURS}" viewBox="0 0 26 14" aria-hidden="true" '
        f'xmlns="http://www.w3.org/2000/svg">{line((0, 7), (26, 7), "step")}'
        f"{_spot((13, 7), place % SHAPES, '')}</svg>"
    )


def _group(trace: Trace, parts: list[str]) -> str:
    style = f"c{trace.place % COLOURS} site-{trace.place}"
    return f'<g class="{style}">{"".join(parts)}</g>' if parts else ""


def _spot(at: Point, shape: int, tip: str) -> str:
    """Draw a point in one of six shapes, so that hospitals differ without colour."""
    x, y = at
    inside = f"<title>{escape(tip)}</title>" if tip else ""
    if shape == 0:
        return f'<circle class="spot" cx="{n(x)}" cy="{n(y)}" r="3.3">{inside}</circle>'
    corners = (
        ((-3, -3), (3, -3), (3, 3), (-3, 3)),
        ((0, -4.4), (4.4, 0), (0, 4.4), (-4.4, 0)),
        ((0, -4), (3.9, 3.2), (-3.9, 3.2)),
        ((0, 4), (3.9, -3.2), (-3.9, -3.2)),
        ((-1.6, -4.2), (1.6, -4.2), (1.6, 4.2), (-1.6, 4.2)),
    )[shape - 1]
    points = " ".join(f"{n(x + a)},{n(y + b)}" for a, b in corners)
    return f'<polygon class="spot" points="{points}">{inside}</polygon>'


class _Frame:
    """The common axes of a drawing."""

    def __init__(self, axis: Axis, traces: Sequence[Trace]) -> None:
        self._axis, self._count = axis, len(traces)
        beside = _ASIDE * len(axis.aside) + (_GAP if axis.aside else 0)
        self._right = _WIDTH - beside
        self._cell = (self._right - _LEFT) / len(axis.names)
        every = [share for trace in traces for share in (*trace.cells, *trace.aside)]
        known = [share.value for share in every if share.value is not None]
        least = min((share.reach for share in every), default=0.0)
        self._ticks = nice_ticks(0, min(1.0, max([0.05, *known]) + least), 4)
        self._y = Scale(0, self._ticks[-1], _BASE, _TOP)
        self._lane = min(4.0, _LANES / max(self._count, 1))
        lost = len(known) < len(every)
        self.bottom = _BASE + (4 + self._lane * self._count if lost else 0)

    def back(self) -> list[str]:
        """Draw what lies behind the traces: grid, axis, names of cells and columns."""
        parts = []
        for tick in self._ticks:
            parts.append(
                line((_LEFT, self._height(tick)), (self._right, self._height(tick)), "grid")
            )
            parts.append(
                text((_LEFT - 4, self._height(tick) + 4), f"{100 * tick:g} %", "tick", "end")
            )
        if self.bottom > _BASE:
            parts.append(text((_LEFT - 4, self.bottom), "hidden", "tick small", "end"))
        for place, name in enumerate(self._axis.aside):
            left = self._right + _GAP + _ASIDE * place
            size = (_ASIDE - 3, _BASE - _TOP)
            parts.append(box((left, _TOP), size, "aside"))
            parts.append(line((left, _BASE), (left + size[0], _BASE), "axis"))
            parts.append(text((left + size[0] / 2, self.bottom + 13), name, "tick", "middle"))
        parts.append(line((_LEFT, _BASE), (self._right, _BASE), "axis"))
        return parts + (self._edges() if self._axis.edges else self._names())

    def bands(self, trace: Trace) -> Iterator[str]:
        """Draw the noise of a number, over neighbouring cells that are shown."""
        for run in self._runs(trace) if self._axis.edges else ():
            upper = [at for i, share in run for at in self._level(i, _value(share) + share.reach)]
            lower = [at for i, share in run for at in self._level(i, _value(share) - share.reach)]
            points = " ".join(f"{n(x)},{n(y)}" for x, y in (*upper, *reversed(lower)))
            yield f'<polygon class="band" points="{points}"/>'

    def lines(self, trace: Trace) -> Iterator[str]:
        """Draw the steps of a number."""
        if self._axis.edges:
            for run in self._runs(trace):
                points = [at for i, share in run for at in self._level(i, _value(share))]
                yield path(points, "step")

    def spots(self, trace: Trace, place: int) -> Iterator[str]:
        """Draw a sign in each cell and column, side by side with the other hospitals'."""
        cells = zip(self._axis.names, trace.cells, strict=True)
        aside = zip(self._axis.aside, trace.aside, strict=True)
        for i, (name, share) in enumerate((*cells, *aside)):
            if share.value is None:
                continue
            x = self._dodged(i, place)
            if i >= len(trace.cells) or not self._axis.edges:
                ends = (share.value - share.reach, share.value + share.reach)
                low, high = (self._height(end) for end in ends)
                yield line((x, low), (x, high), "whisker")
            tip = f"{trace.site}, {name}: {share.words()}"
            yield _spot((x, self._height(share.value)), trace.place % SHAPES, tip)

    def lost(self, trace: Trace, place: int) -> Iterator[str]:
        """Mark under the axis which cells and columns are not shown."""
        for i, share in enumerate((*trace.cells, *trace.aside)):
            if share.value is None:
                left, width = self._span(i)
                corner = (left + 1, _BASE + 3 + self._lane * place)
                size = (width - 2, self._lane * 0.65)
                yield box(corner, size, "lost", f"{trace.site}: not shown")

    def _height(self, value: float) -> float:
        return self._y(min(max(value, 0.0), self._ticks[-1]))

    def _span(self, i: int) -> tuple[float, float]:
        """Return left end and width of a cell, or of a column beside them."""
        if i < len(self._axis.names):
            return _LEFT + self._cell * i, self._cell
        return self._right + _GAP + _ASIDE * (i - len(self._axis.names)), _ASIDE - 3

    def _level(self, i: int, value: float) -> tuple[Point, Point]:
        left, width = self._span(i)
        return (left, self._height(value)), (left + width, self._height(value))

    def _dodged(self, i: int, place: int) -> float:
        left, width = self._span(i)
        return left + width * (place + 1) / (self._count + 1)

    def _runs(self, trace: Trace) -> Iterator[list[tuple[int, Share]]]:
        """Group the shown cells: neighbours of a number together, nothing across a gap."""
        run: list[tuple[int, Share]] = []
        for i, share in enumerate(trace.cells):
            if share.value is not None:
                run.append((i, share))
            elif run:
                yield run
                run = []
        if run:
            yield run

    def _edges(self) -> list[str]:
        labels = [f"{edge:.3g}" for edge in self._axis.edges]
        stride = self._stride(max(map(len, labels)) + 1)
        parts = []
        for i, label in enumerate(labels):
            x = _LEFT + self._cell * i
            parts.append(line((x, _BASE), (x, _BASE + 3), "axis"))
            if i % stride == 0:
                parts.append(text((x, self.bottom + 13), label, "tick", "middle"))
        return parts

    def _names(self) -> list[str]:
        stride = self._stride(4)
        room = max(int(self._cell * stride / _LETTER), 3)
        parts = []
        for i in range(0, len(self._axis.names), stride):
            name = self._axis.names[i]
            short = name if len(name) <= room else f"{name[: room - 1]}…"
            x = _LEFT + self._cell * (i + 0.5)
            parts.append(text((x, self.bottom + 13), short, "tick", "middle"))
        return parts

    def _stride(self, letters: int) -> int:
        """Return how many cells a label of that length needs."""
        return max(1, -int(-letters * _LETTER // self._cell))


def _value(share: Share) -> float:
    return share.value or 0.0
