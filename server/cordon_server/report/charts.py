"""Charts as inline SVG: pure functions of numbers; colours come from the page's style sheet.

Every number is written with a fixed precision, so that equal input gives equal bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]


def n(value: float) -> str:
    """Write a coordinate: two decimals, no trailing zeros, no minus zero."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def svg(width: float, height: float, title: str, parts: Sequence[str], *, kind: str) -> Markup:
    """Put parts of a drawing into one, which has a name."""
    body = "".join(parts)
    return Markup(  # noqa: S704 - every text in it was escaped
        f'<svg class="{kind}" viewBox="0 0 {n(width)} {n(height)}" role="img" '
        f'aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )


def line(a: Point, b: Point, style: str) -> str:
    """Draw a straight line."""
    return f'<line class="{style}" x1="{n(a[0])}" y1="{n(a[1])}" x2="{n(b[0])}" y2="{n(b[1])}"/>'


def box(corner: Point, size: Point, style: str, tip: str = "") -> str:
    """Draw a rectangle, with a tool tip."""
    inside = f"<title>{escape(tip)}</title>" if tip else ""
    return (
        f'<rect class="{style}" x="{n(corner[0])}" y="{n(corner[1])}" '
        f'width="{n(max(size[0], 0))}" height="{n(max(size[1], 0))}">{inside}</rect>'
    )


def dot(at: Point, radius: float, style: str, tip: str = "") -> str:
    """Draw a disc, with a tool tip."""
    inside = f"<title>{escape(tip)}</title>" if tip else ""
    return (
        f'<circle class="{style}" cx="{n(at[0])}" cy="{n(at[1])}" r="{n(radius)}">{inside}</circle>'
    )


def text(at: Point, words: str, style: str = "", anchor: str = "start") -> str:
    """Write words."""
    return (
        f'<text class="{style}" x="{n(at[0])}" y="{n(at[1])}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def path(points: Sequence[Point], style: str) -> str:
    """Draw an open line through points."""
    steps = " ".join(f"{'M' if i == 0 else 'L'}{n(x)} {n(y)}" for i, (x, y) in enumerate(points))
    return f'<path class="{style}" d="{steps}"/>'


@dataclass(frozen=True)
class Scale:
    """A linear map from data to the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return where a value lies in the drawing."""
        span = self.high - self.low or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round numbers that cover an interval."""
    span = max(high - low, 1e-12)
    raw = span / max(count - 1, 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(f * magnitude for f in (1, 2, 2.5, 5, 10) if f * magnitude >= raw * (1 - 1e-9))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


@dataclass(frozen=True)
class ForestRow:
    """One line of an interval plot. second: a comparison value with its own interval."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    strong: bool = False
    second: tuple[float, float | None, float | None] | None = None


def forest(rows: Sequence[ForestRow], title: str) -> Markup:
    """Draw AUC values with their intervals, one row each, on [low, 1]."""
    lows = [v for r in rows for v in (r.low, r.second and (r.second[1] or r.second[0])) if v]
    start = math.floor(10 * min([0.5, *lows])) / 10
    left, right, height = 190.0, 600.0, 34.0 * len(rows) + 36
    x = Scale(start, 1.0, left, right)
    parts: list[str] = []
    for tick in nice_ticks(start, 1.0, 6):
        if start <= tick <= 1:
            parts.append(line((x(tick), 8), (x(tick), height - 26), "grid"))
            parts.append(text((x(tick), height - 10), f"{tick:g}", "tick", "middle"))
    parts.append(line((x(0.5), 8), (x(0.5), height - 26), "chance"))
    for i, row in enumerate(rows):
        parts += _forest_row(row, 25.0 + 34 * i, x)
    return svg(640, height, title, parts, kind="chart wide")


def _forest_row(row: ForestRow, y: float, x: Scale) -> list[str]:
    parts = [text((180, y + 4), row.name, "label strong" if row.strong else "label", "end")]
    if row.value is None:
        parts.append(text((x(x.low) + 8, y + 4), "hidden by the noise", "tick"))
    else:
        tip = f"{row.name}: {row.value:.3f}"
        if row.low is not None and row.high is not None:
            tip += f" ({row.low:.3f} to {row.high:.3f})"
            parts.append(line((x(row.low), y), (x(row.high), y), "interval"))
        parts.append(dot((x(row.value), y), 6 if row.strong else 5, "point", tip))
    if row.second is not None:
        value, low, high = row.second
        if low is not None and high is not None:
            parts.append(line((x(low), y + 10), (x(high), y + 10), "interval second"))
        corner = (x(value) - 4, y + 6)
        parts.append(box(corner, (8, 8), "point second", f"{row.name} alone: {value:.3f}"))
    return parts


def roc(points: Sequence[Point], title: str) -> Markup:
    """Draw a ROC curve in the unit square; without points it says that the noise hides it."""
    x, y = Scale(0, 1, 30, 190), Scale(0, 1, 170, 10)
    parts = [box((30, 10), (160, 160), "frame")]
    for tick in (0.0, 0.5, 1.0):
        parts.append(text((x(tick), 185), f"{tick:g}", "tick", "middle"))
        parts.append(text((25, y(tick) + 4), f"{tick:g}", "tick", "end"))
    parts.append(line((x(0), y(0)), (x(1), y(1)), "chance"))
    if points:
        parts.append(path([(x(a), y(b)) for a, b in points], "curve"))
    else:
        parts.append(text((110, 86), "hidden by the noise", "tick", "middle"))
    return svg(200, 192, title, parts, kind="chart small")


def score_bars(
    negatives: Sequence[float], positives: Sequence[float], noise_std: float, title: str
) -> Markup:
    """Draw two noised histograms back to back over the score, with the noise as a grey band."""
    count = len(negatives)
    top = max([*negatives, *positives, 3 * noise_std, 1.0])
    width = 160 / count
    up, down = Scale(0, top, 90, 14), Scale(0, top, 90, 166)
    band = 1.96 * noise_std
    parts = [box((30, up(band)), (160, down(band) - up(band)), "noise", "95 % of the noise alone")]
    for i in range(count):
        left = 30 + width * i
        span = f"score {i / count:g} to {(i + 1) / count:g}"
        for value, scale, style, who in (
            (positives[i], up, "positive", "positive"),
            (negatives[i], down, "negative", "negative"),
        ):
            end = scale(max(value, 0.0))
            corner = (left + 0.5, min(end, 90.0))
            tip = f"{span}: {value:.1f} {who}"
            parts.append(box(corner, (width - 1, abs(end - 90)), style, tip))
    parts.append(line((30, 90), (190, 90), "axis"))
    parts += [
        text((32, 12), "positive", "tick"),
        text((32, 178), "negative", "tick"),
        text((26, 18), f"{top:.0f}", "tick", "end"),
        text((26, 170), f"{top:.0f}", "tick", "end"),
        text((30, 190), "0", "tick", "middle"),
        text((190, 190), "1", "tick", "middle"),
        text((110, 190), "score", "tick", "middle"),
    ]
    return svg(200, 194, title, parts, kind="chart small")


def convergence(norms: Sequence[float], first_averaged: int, title: str) -> Markup:
    """Draw the size of each round's update; the averaged rounds are shaded."""
    count = len(norms)
    x, top = Scale(0, max(count - 1, 1), 60, 620), max([*norms, 1e-9])
    ticks = nice_ticks(0, top)
    y = Scale(0, ticks[-1], 180, 16)
    parts: list[str] = []
    if first_averaged < count:
        start = x(max(first_averaged - 0.5, 0))
        parts.append(box((start, 16), (620 - start + 6, 164), "shade", "rounds that are averaged"))
        parts.append(text((start + 6, 30), "averaged into the model", "tick"))
    for tick in ticks:
        parts.append(line((60, y(tick)), (626, y(tick)), "grid"))
        parts.append(text((52, y(tick) + 4), f"{tick:g}", "tick", "end"))
    parts.append(path([(x(i), y(v)) for i, v in enumerate(norms)], "curve"))
    parts += [dot((x(i), y(v)), 3, "point", f"round {i + 1}: {v:.4f}") for i, v in enumerate(norms)]
    for i in sorted({0, count - 1, *range(4, count, max(5, 5 * (count // 50)))}):
        parts.append(text((x(i), 198), str(i + 1), "tick", "middle"))
    return svg(640, 206, title, parts, kind="chart wide")


@dataclass(frozen=True)
class TimelineRow:
    """A site's part in the rounds: None took part, else the code of why not."""

    site: str
    codes: Sequence[str | None]


def timeline(seconds: Sequence[float], rows: Sequence[TimelineRow], title: str) -> Markup:
    """Draw the duration of each round, and below it who took part."""
    count = max(len(seconds), 1)
    width = 450 / count
    top = max([*seconds, 0.1])
    y = Scale(0, top, 70, 12)
    parts = [text((170, 16), f"{top:.1f} s", "tick", "end"), text((170, 72), "0 s", "tick", "end")]
    for i, value in enumerate(seconds):
        corner = (180 + width * i + 0.5, y(value))
        tip = f"round {i + 1}: {value:.2f} s"
        parts.append(box(corner, (width - 1, 70 - y(value)), "bar", tip))
    parts.append(line((180, 70), (630, 70), "axis"))
    for j, row in enumerate(rows):
        at = 82 + 22.0 * j
        parts.append(text((170, at + 11), row.site, "label", "end"))
        for i, code in enumerate(row.codes):
            style = "took" if code is None else "missed" if code else "idle"
            tip = f"{row.site}, round {i + 1}: {code or ('took part' if code is None else 'not asked')}"
            corner = (180 + width * i + 0.5, at)
            parts.append(box(corner, (width - 1, 15), style, tip))
    return svg(640, 92 + 22 * len(rows), title, parts, kind="chart wide")


def lollipops(rows: Sequence[tuple[str, float, float | None]], title: str) -> Markup:
    """Draw coefficients around zero, with the bound of the noise as an interval where known."""
    reach = max([abs(v) + 1.96 * (s or 0) for _, v, s in rows] + [1e-9])
    ticks = nice_ticks(-reach, reach, 7)
    x = Scale(ticks[0], ticks[-1], 230, 620)
    height = 24.0 * len(rows) + 40
    parts = []
    for tick in ticks:
        parts.append(line((x(tick), 6), (x(tick), height - 28), "grid"))
        parts.append(text((x(tick), height - 12), f"{tick:g}", "tick", "middle"))
    parts.append(line((x(0), 6), (x(0), height - 28), "axis"))
    for i, (name, value, std) in enumerate(rows):
        at = 20 + 24.0 * i
        clear = std is not None and abs(value) > 1.96 * std
        side = "positive" if value > 0 else "negative"
        parts.append(text((220, at + 4), name, "label strong" if clear else "label", "end"))
        if std is not None:
            low, high = x(value - 1.96 * std), x(value + 1.96 * std)
            parts.append(line((low, at), (high, at), "interval faint"))
        parts.append(line((x(0), at), (x(value), at), f"stem {side}"))
        tip = f"{name}: {value:+.3f}" + (f" (noise at most ± {1.96 * std:.3f})" if std else "")
        parts.append(dot((x(value), at), 5, side if clear or std is None else f"{side} open", tip))
    return svg(640, height, title, parts, kind="chart wide")


def budget_bar(spent: float, promised: float, title: str) -> Markup:
    """Draw how much of the promise is spent."""
    part = min(spent / promised, 1.0) if promised else 0.0
    parts = [box((0, 2), (120, 8), "track"), box((0, 2), (120 * part, 8), "bar")]
    return svg(120, 12, title, parts, kind="gauge")
