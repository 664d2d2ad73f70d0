"""The burn-down of a lifetime budget as inline SVG: what is left after every release.

Colours come from the page's style sheet; numbers have a fixed precision, so equal input gives
equal bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from cordon_common.audit.facts import BurnDown

WIDTH, HEIGHT = 420, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 14, 34


def remaining(budget: BurnDown) -> tuple[tuple[int, float], ...]:
    """Return (releases, ε left) of every step; without a budget, (releases, ε spent)."""
    if budget.budget is None:
        return tuple((step.releases, step.epsilon) for step in budget.steps)
    return tuple((step.releases, budget.budget - step.epsilon) for step in budget.steps)


def burn_down_svg(budget: BurnDown) -> Markup:
    """Draw one hospital's burn-down as steps: a release takes its share at once."""
    points = remaining(budget)
    top = budget.budget or max((value for _, value in points), default=1.0) or 1.0
    last = max(points[-1][0], 1)

    def x(releases: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * releases / last

    def y(epsilon: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * max(epsilon, 0.0) / top

    line = _steps([(x(releases), y(value)) for releases, value in points])
    area = f"{line} L{_n(x(last))} {_n(y(0))} L{_n(x(0))} {_n(y(0))} Z"
    what = "left of the lifetime budget" if budget.budget else "spent so far"
    title = f"{budget.site}: epsilon {what} after each release, now {points[-1][1]:.3f}"
    parts = [
        *(_grid(top * share, y(top * share)) for share in (0, 0.25, 0.5, 0.75, 1)),
        f'<path class="area" d="{area}"/>',
        f'<path class="line" d="{line}"/>',
        f'<circle class="now" cx="{_n(x(last))}" cy="{_n(y(points[-1][1]))}" r="3.5"/>',
        _text(_LEFT, HEIGHT - 14, "0", "start"),
        _text(WIDTH - _RIGHT, HEIGHT - 14, f"{last} releases", "end"),
        _text((WIDTH + _LEFT) / 2, HEIGHT - 2, f"ε {what}", "middle"),
    ]
    return Markup(  # noqa: S704 - every text in it was escaped
        f'<svg class="burn" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _steps(points: list[tuple[float, float]]) -> str:
    """Write a path that goes right first, then down."""
    path = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for x, y in points[1:]:
        path += [f"H{_n(x)}", f"V{_n(y)}"]
    return " ".join(path)


def _grid(value: float, y: float) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" y1="{_n(y)}" x2="{WIDTH - _RIGHT}" y2="{_n(y)}"/>'
        + _text(_LEFT - 6, y + 4, f"{value:.3g}", "end")
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(words)}</text>'


def _n(value: float) -> str:
    """Write a coordinate: two decimals, no trailing zeros, no minus zero."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
