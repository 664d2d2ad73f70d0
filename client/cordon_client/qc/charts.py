"""Small SVG charts for the report; colours come from the page, so that they follow its theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from cordon_client.qc.svg import coordinate, picture, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.canonical import Json

_WIDTH, _HEIGHT = 240.0, 96.0
_LEFT, _RIGHT, _TOP, _BASE = 14.0, 226.0, 6.0, 76.0


def chart(feature: Json) -> Markup:
    """Draw a feature of the report: a histogram for a number, bars for categories."""
    return _number(feature) if feature["type"] == "number" else _category(feature)


def _number(feature: Json) -> Markup:
    """Draw the window's bars over the usual span; values beyond the window stand at the ends."""
    below, *bars, above = feature["histogram"]
    low, high = feature["window"]
    highest = max(1, below, above, *bars)
    step = (_RIGHT - _LEFT) / len(bars)
    parts = [_band(feature["typical"], low, high)]
    parts += [
        _bar(_LEFT + index * step, step, count / highest, "bar")
        for index, count in enumerate(bars)
        if count
    ]
    parts += [
        _bar(x, 6.0, count / highest, "bar tail")
        for x, count in ((2.0, below), (_WIDTH - 8.0, above))
        if count
    ]
    parts.append(_axis())
    parts += _labels(feature["typical"] or (low, high), low, high, feature["unit"])
    return picture(parts, f"Histogram of {feature['name']}", (_WIDTH, _HEIGHT))


def _band(typical: Sequence[float] | None, low: float, high: float) -> Markup:
    if typical is None:
        return Markup()
    start, stop = (_position(edge, low, high) for edge in typical)
    return Markup('<rect class="usual" x="{}" y="{}" width="{}" height="{}"/>').format(
        coordinate(start), coordinate(_TOP), coordinate(stop - start), coordinate(_BASE - _TOP)
    )


def _bar(x: float, width: float, share: float, kind: str) -> Markup:
    height = max(1.0, share * (_BASE - _TOP))
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        kind,
        coordinate(x),
        coordinate(_BASE - height),
        coordinate(max(0.5, width - 0.6)),
        coordinate(height),
    )


def _axis() -> Markup:
    return Markup('<line class="axis" x1="0" x2="{}" y1="{}" y2="{}"/>').format(
        coordinate(_WIDTH), coordinate(_BASE), coordinate(_BASE)
    )


def _labels(marks: Sequence[float], low: float, high: float, unit: str) -> list[Markup]:
    """Write the two ends of the usual span under the axis, the unit between them."""
    ends = [text(_position(mark, low, high), _BASE + 15, f"{mark:g}", "middle") for mark in marks]
    middle = sum(_position(mark, low, high) for mark in marks) / 2
    unit = "" if unit == "1" else unit
    return [*ends, text(middle, _BASE + 15, unit, "middle", "unit")]


def _category(feature: Json) -> Markup:
    """Draw one bar per category, then the unknown and the missing ones."""
    recorded, outside = feature["recorded"], feature["outside"]["part"]
    rows = list(zip(feature["categories"], feature["histogram"], strict=True))
    extra = [("unlisted", outside), ("missing", recorded["total"] - recorded["part"])]
    rows += [(name, count) for name, count in extra if count]
    shown, hidden = rows[:12], rows[12:]
    if hidden:
        shown.append((f"{len(hidden)} more", sum(count for _, count in hidden)))
    highest = max(1, *(count for _, count in shown))
    row_height = 18.0
    parts = []
    special = {name for name, count in extra if count}
    for index, (name, count) in enumerate(shown):
        y = 4 + index * row_height
        kind = "bar tail" if name in special and index >= len(feature["categories"]) else "bar"
        width = 120.0 * count / highest
        parts.append(text(66, y + 11, _short(name), "end"))
        parts.append(
            Markup('<rect class="{}" x="72" y="{}" width="{}" height="12"/>').format(
                kind, coordinate(y), coordinate(max(1.0, width) if count else 0.0)
            )
        )
        parts.append(text(76 + width, y + 10.5, str(count), "start", "unit"))
    height = max(_HEIGHT, 8 + row_height * len(shown))
    return picture(parts, f"Categories of {feature['name']}", (_WIDTH, height))


def _short(name: str) -> str:
    return name if len(name) <= 10 else name[:9] + "…"


def _position(value: float, low: float, high: float) -> float:
    return _LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT)
