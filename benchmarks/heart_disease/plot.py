"""A figure of AUC against ε as plain SVG: what the tables say, at a glance."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.lines import Line

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 28, 96
COLOURS = {"heart": "#b3541e", "colorectal": "#1f5f8b"}
LOWEST, HIGHEST = 0.5, 0.95
TITLE = "AUC by epsilon (log scale); dotted: the same training without noise"
_NAME = re.compile(r"(\w+), (?:ε=([\d.]+) ([\w-]+)|no noise): AUC")


@dataclass(frozen=True)
class Curve:
    """One line: data set, trust model, AUC by ε."""

    data: str
    trust: str
    auc: dict[float, float]


def figure(lines: Sequence[Line]) -> str:
    """Return an SVG document of the AUC lines of a table."""
    curves: dict[tuple[str, str], Curve] = {}
    clean: dict[str, float] = {}
    for line in lines:
        found = _NAME.fullmatch(line.name)
        if found is None:
            continue
        data, epsilon, trust = found.groups()
        if epsilon is None:
            clean[data] = line.value
            continue
        curve = curves.setdefault((data, trust), Curve(data, trust, {}))
        curve.auc[float(epsilon)] = line.value
    epsilons = sorted({epsilon for curve in curves.values() for epsilon in curve.auc})
    parts = [_text(LEFT, 16, TITLE, "start"), *_grid(epsilons)]
    parts += [_level(data, auc) for data, auc in clean.items()]
    for number, curve in enumerate(curves.values()):
        parts += _curve(curve, number, epsilons)
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{TITLE}" font-family="sans-serif" font-size="12" fill="#444">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _x(epsilon: float, epsilons: Sequence[float]) -> float:
    low, high = math.log(epsilons[0]), math.log(epsilons[-1])
    share = (math.log(epsilon) - low) / max(high - low, 1e-9)
    return LEFT + 20 + share * (WIDTH - LEFT - RIGHT - 40)


def _y(auc: float) -> float:
    share = (auc - LOWEST) / (HIGHEST - LOWEST)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _grid(epsilons: Sequence[float]) -> list[str]:
    parts = []
    for step in range(round((HIGHEST - LOWEST) / 0.05) + 1):
        auc = LOWEST + 0.05 * step
        parts.append(_line(LEFT, _y(auc), WIDTH - RIGHT, _y(auc), "#ddd"))
        parts.append(_text(LEFT - 8, _y(auc) + 4, f"{auc:.2f}", "end"))
    y = HEIGHT - BOTTOM + 18
    parts += [_text(_x(each, epsilons), y, f"{each:g}", "middle") for each in epsilons]
    return parts


def _level(data: str, auc: float) -> str:
    y = _y(auc)
    return _line(LEFT, y, WIDTH - RIGHT, y, COLOURS.get(data, "#444"), dash="2 4")


def _curve(curve: Curve, number: int, epsilons: Sequence[float]) -> list[str]:
    colour = COLOURS.get(curve.data, "#444")
    points = [(_x(epsilon, epsilons), _y(auc)) for epsilon, auc in sorted(curve.auc.items())]
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="6 4"' if curve.trust == "local" else ""
    row, column = divmod(number, 2)
    x, y = LEFT + column * 290, HEIGHT - BOTTOM + 46 + 20 * row
    return [
        f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>',
        *(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>' for px, py in points),
        f'<path d="M{x} {y - 4}h26" stroke="{colour}" stroke-width="2"{dash}/>',
        _text(x + 32, y, f"{curve.data}, {curve.trust}", "start"),
    ]


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashes}/>'
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'
