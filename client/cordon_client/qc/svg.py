"""The strokes that all pictures of the report are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence


def coordinate(value: float) -> str:
    """Write a coordinate with one decimal: short, and equal on every platform."""
    return f"{value:.1f}"


def rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """Draw a line of the axes or the grid."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        kind, coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2)
    )


def text(
    x: float, y: float, words: str, anchor: str, kind: str = "tick", squeeze: float | None = None
) -> Markup:
    """Write words; they are escaped. squeeze: set them so narrow that they take this much room."""
    fit = Markup()
    if squeeze is not None:
        fit = Markup(' textLength="{}" lengthAdjust="spacingAndGlyphs"').format(coordinate(squeeze))
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}"{}>{}</text>').format(
        kind, coordinate(x), coordinate(y), anchor, fit, words
    )


def picture(
    parts: Sequence[Markup], label: str, size: tuple[float, float], kind: str = ""
) -> Markup:
    """Put the parts on a canvas of (width, height); `label` is what a screen reader says."""
    css = Markup(' class="{}"').format(kind) if kind else Markup()
    head = Markup('<svg{} viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        css, coordinate(size[0]), coordinate(size[1]), label
    )
    return head + Markup().join(parts) + Markup("</svg>")
