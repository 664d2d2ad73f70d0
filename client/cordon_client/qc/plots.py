"""Plots as inline SVG, drawn from their data; colours come from the page, so they follow its theme."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from markupsafe import Markup

from cordon_client.qc.svg import coordinate, picture, rule, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.canonical import Json

WIDTH, HEIGHT = 480.0, 270.0
_LEFT, _RIGHT, _TOP, _BASE = 58.0, 470.0, 10.0, 216.0
_COLOURS = 6
NOT_ASSESSABLE = "\N{EN DASH}"
"""What stands where a number could not be assessed; never a zero."""

_MAX_POINTS = 1000
_MAX_CATEGORY_LABELS = 18
_MAX_CELLS = 60


@dataclass(frozen=True)
class _Scale:
    """A linear scale from data to the drawing; `marks`: where the axis is labelled."""

    low: float
    high: float
    start: float
    stop: float
    marks: tuple[float, ...]

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.stop - self.start)


def draw(plot: Json) -> Markup:
    """Draw one plot of the report's value; text is escaped, coordinates have one decimal."""
    if plot["kind"] == "heatmap":
        return _heatmap(plot)
    if not any(y is not None for series in plot["series"] for y in series["y"]):
        return Markup('<p class="soft">Nothing to draw.</p>')
    return _chart(plot)


def _chart(plot: Json) -> Markup:
    categories = _categories(plot)
    x_scale = _categorical(categories) if categories else _numeric_x(plot)
    y_scale = _y_scale(plot)
    parts = [_zones(plot["bands"], y_scale), _axes(plot, y_scale)]
    parts += _x_labels(categories, x_scale)
    for index, series in enumerate(plot["series"]):
        points = _points(series, categories, (x_scale, y_scale))
        colour = f"s{index % _COLOURS}" + (" flagged" if series.get("flagged") else "")
        painter = {"line": _line, "scatter": _dots}.get(plot["kind"])
        if painter is None:
            parts.append(_bars(points, colour, _Slot(index, len(plot["series"]), plot, x_scale)))
        else:
            parts.append(painter(points, colour, series["name"]))
    return picture(parts, plot["title"], (WIDTH, HEIGHT), "plot")


def _categories(plot: Json) -> tuple[str, ...]:
    """List the categories of the x axis in order of appearance; none for a numeric axis."""
    values = [x for series in plot["series"] for x in series["x"]]
    if not any(isinstance(value, str) for value in values):
        return ()
    return tuple(dict.fromkeys(str(value) for value in values))


def _categorical(categories: Sequence[str]) -> _Scale:
    return _Scale(-0.5, len(categories) - 0.5, _LEFT, _RIGHT, ())


def _numeric_x(plot: Json) -> _Scale:
    values = [x for series in plot["series"] for x in series["x"]]
    low, high = min(values), max(values)
    margins = {"line": 0.0, "scatter": 0.03 * (high - low)}
    margin = margins.get(plot["kind"], _step(values) / 2)
    low, high = low - margin, high + margin
    if low == high:
        low, high = low - 0.5, high + 0.5
    return _Scale(low, high, _LEFT, _RIGHT, nice_marks(low, high))


def _step(values: Sequence[float]) -> float:
    ordered = sorted(set(values))
    return min((b - a for a, b in pairwise(ordered)), default=1.0)


def _y_scale(plot: Json) -> _Scale:
    values = [y for series in plot["series"] for y in series["y"] if y is not None]
    low, high = min(values), max(values)
    if plot["kind"] != "scatter":
        low = min(0.0, low)
    edges = [b for band in plot["bands"] for b in (band["low"], band["high"]) if b is not None]
    near = [edge for edge in edges if low - (high - low) <= edge <= high + 0.25 * (high - low)]
    low, high = min([low, *near]), max([high, *near])
    if low == high:
        low, high = (low - 0.5, high + 0.5) if plot["kind"] == "scatter" else (low, low + 1)
    marks = nice_marks(low, high)
    return _Scale(min(low, marks[0]), max(high, marks[-1]), _BASE, _TOP, marks)


def nice_marks(low: float, high: float, wanted: int = 5) -> tuple[float, ...]:
    """Return round numbers inside [low, high], about `wanted` of them."""
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(f * power for f in (1, 2, 2.5, 5, 10) if f * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(number * step, 12) for number in range(first, last + 1)) or (low,)


def _zones(bands: Sequence[Json], y: _Scale) -> Markup:
    """Colour the zones of the y axis; a bound of None reaches to the end."""
    parts = []
    for band in bands:
        top = y.at(y.high if band["high"] is None else band["high"])
        base = y.at(y.low if band["low"] is None else band["low"])
        if base - top > 0.05:
            parts.append(
                Markup('<rect class="zone {}" x="{}" y="{}" width="{}" height="{}"/>').format(
                    band["severity"],
                    coordinate(_LEFT),
                    coordinate(top),
                    coordinate(_RIGHT - _LEFT),
                    coordinate(base - top),
                )
            )
    return Markup().join(parts)


def _axes(plot: Json, y: _Scale) -> Markup:
    parts = [rule(_LEFT, _BASE, _RIGHT, _BASE, "axis")]
    for mark in y.marks:
        at = y.at(mark)
        parts.append(rule(_LEFT, at, _RIGHT, at, "grid-line"))
        parts.append(text(_LEFT - 6, at + 3.5, short_number(mark), "end"))
    parts.append(text((_LEFT + _RIGHT) / 2, HEIGHT - 4, plot["x_label"], "middle", "unit"))
    turned = Markup('<g transform="translate(12 {}) rotate(-90)">{}</g>').format(
        coordinate((_TOP + _BASE) / 2), _y_label(plot["y_label"])
    )
    return Markup().join([*parts, turned])


def _y_label(words: str) -> Markup:
    """Write the label of the y axis; one that is too long for the axis is set narrower."""
    room = _BASE - _TOP
    return text(0, 0, words, "middle", "unit", room if len(words) * 6.4 > room else None)


def _x_labels(categories: Sequence[str], x: _Scale) -> list[Markup]:
    if not categories:
        return [_x_mark(x.at(mark), short_number(mark)) for mark in x.marks]
    every = max(1, math.ceil(len(categories) / _MAX_CATEGORY_LABELS))
    longest = max(len(name) for name in categories)
    room = (_RIGHT - _LEFT) / len(categories) * every / 6.8
    parts = []
    for index, name in enumerate(categories):
        if index % every:
            continue
        at = x.at(index)
        if longest <= room:
            parts.append(text(at, _BASE + 15, name, "middle"))
        else:
            words = text(0, 0, name if len(name) <= 12 else name[:11] + "…", "end")
            parts.append(
                Markup('<g transform="translate({} {}) rotate(-35)">{}</g>').format(
                    coordinate(at + 3), coordinate(_BASE + 11), words
                )
            )
    return parts


def _x_mark(at: float, words: str) -> Markup:
    """Label the x axis; the last label moves inwards rather than out of the picture."""
    return text(min(at, WIDTH - 4.0 * len(words) - 1), _BASE + 15, words, "middle")


Point = tuple[float, float, str]


def _points(
    series: Json, categories: Sequence[str], scales: tuple[_Scale, _Scale]
) -> list[Point | None]:
    """Place a series; None where it has no value, so that a line breaks there."""
    place = {name: index for index, name in enumerate(categories)}
    points: list[Point | None] = []
    pairs = list(zip(series["x"], series["y"], strict=True))
    every = max(1, math.ceil(len(pairs) / _MAX_POINTS))
    for x, y in pairs[::every]:
        if y is None:
            points.append(None)
            continue
        at = scales[0].at(place[str(x)] if categories else x)
        name = x if isinstance(x, str) else short_number(x)
        points.append((at, scales[1].at(y), f"{name}: {short_number(y)}"))
    return points


def _line(points: Sequence[Point | None], colour: str, name: str) -> Markup:
    steps, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        steps.append(f"{pen}{coordinate(point[0])} {coordinate(point[1])}")
        pen = "L"
    return Markup('<path class="line {}" d="{}"><title>{}</title></path>').format(
        colour, "".join(steps), name
    )


def _dots(points: Sequence[Point | None], colour: str, name: str) -> Markup:
    return Markup().join(
        Markup(
            '<circle class="point {}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>'
        ).format(colour, coordinate(x), coordinate(y), f"{name}, {words}")
        for x, y, words in (point for point in points if point is not None)
    )


@dataclass(frozen=True)
class _Slot:
    """Which of several bars that stand side by side at one place."""

    index: int
    of: int
    plot: Json
    x: _Scale

    @property
    def width(self) -> float:
        values = [x for series in self.plot["series"] for x in series["x"]]
        step = 1.0 if any(isinstance(v, str) for v in values) else _step(values)
        whole = step / (self.x.high - self.x.low) * (_RIGHT - _LEFT)
        gap = 0.98 if self.plot["kind"] == "histogram" else 0.8
        return max(0.5, min(whole * gap, 80.0) / self.of)


def _bars(points: Sequence[Point | None], colour: str, slot: _Slot) -> Markup:
    width = slot.width
    start = -width * slot.of / 2 + slot.index * width
    return Markup().join(
        Markup(
            '<rect class="column {}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>'
        ).format(
            colour,
            coordinate(x + start),
            coordinate(y),
            coordinate(width),
            coordinate(max(0.0, _BASE - y)),
            words,
        )
        for x, y, words in (point for point in points if point is not None)
    )


def _heatmap(plot: Json) -> Markup:
    """Draw a matrix: darker is more; numbers where there is room."""
    rows, columns = plot["rows"][:_MAX_CELLS], plot["columns"][:_MAX_CELLS]
    values = [v for row in plot["matrix"] for v in row if v is not None]
    if not values:
        return Markup('<p class="soft">Nothing to draw.</p>')
    low, high = min(0.0, *values), max(values)
    left = min(170.0, 14 + 6.8 * max(len(name) for name in rows))
    width = (_RIGHT - left) / len(columns)
    height = max(8.0, min(30.0, 230.0 / len(rows)))
    parts = []
    for i, name in enumerate(rows):
        y = 26 + i * height
        if height >= 11 or i % 2 == 0:
            short = name if len(name) <= 23 else name[:22] + "…"
            parts.append(text(left - 6, y + height / 2 + 3.5, short, "end"))
        parts += [
            _cell(plot, (i, j), (left + j * width, y, width, height), (low, high))
            for j in range(len(columns))
        ]
    every = max(1, math.ceil(len(columns) * 46 / (_RIGHT - left)))
    for j in range(0, len(columns), every):
        name = columns[j]
        short = (
            name
            if len(name) * 6.2 <= width * every
            else name[: max(1, int(width * every / 6.6))] + "…"
        )
        parts.append(text(left + (j + 0.5) * width, 18, short, "middle"))
    bottom = 26 + len(rows) * height
    words = f"{plot['y_label']} by {plot['x_label']}; from {short_number(low)} (light) to "
    parts.append(text(left, bottom + 18, words + f"{short_number(high)} (dark)", "start", "unit"))
    return picture(parts, plot["title"], (WIDTH, bottom + 28), "plot")


def _cell(
    plot: Json,
    at: tuple[int, int],
    box: tuple[float, float, float, float],
    span: tuple[float, float],
) -> Markup:
    value = plot["matrix"][at[0]][at[1]]
    x, y, width, height = box
    words = f"{plot['rows'][at[0]]}, {plot['columns'][at[1]]}: " + (
        "not assessable" if value is None else short_number(value)
    )
    share = 0.0 if value is None or span[0] == span[1] else (value - span[0]) / (span[1] - span[0])
    cell = Markup(
        '<rect class="cell" x="{}" y="{}" width="{}" height="{}" fill-opacity="{:.2f}">'
        "<title>{}</title></rect>"
    ).format(
        coordinate(x),
        coordinate(y),
        coordinate(width - 1),
        coordinate(height - 1),
        0.04 + 0.92 * share,
        words,
    )
    if width >= 34 and height >= 13:
        shown = NOT_ASSESSABLE if value is None else short_number(value)
        kind = "on-dark" if share > 0.5 else "tick"
        cell += text(x + width / 2, y + height / 2 + 3.5, shown, "middle", kind)
    return cell


def short_number(value: float) -> str:
    """Write a number for an axis: at most four digits, thousands and millions by letter."""
    for bound, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= bound:
            unit = bound if letter != "k" else 1e3
            return f"{value / unit:.4g}{letter}"
    return f"{value:.4g}"
