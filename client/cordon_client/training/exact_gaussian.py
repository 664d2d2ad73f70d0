"""round(std · g) for one Gaussian g with as many random bits as it takes to be sure.

The fast generator in `noise` knows its own error. A draw that lies closer to the boundary between
two integers than that error is decided here: the same random bits, continued by fresh ones, in
decimal arithmetic of 60 digits. Source of the method: lazily revealed uniforms (Karney 2016, §2).
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

_DIGITS = 60
_PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510"
    "58209749445923078164062862089986280348253421170679821480865"
)
_CONTEXT = Context(prec=_DIGITS, rounding=ROUND_HALF_EVEN)
_HALF = Decimal("0.5")


def rounded_draw(radius: tuple[int, int], angle: tuple[int, int], *, std: float) -> int:
    """Return round(std · sqrt(-2 ln u) · cos 2πv).

    radius, angle: (n, k) say that u, v lie in [n, n + 1) · 2^-k. std: grid steps, below 2^61.

    Guarantee: with k ≥ 384 the cell of (u, v) decides the integer, except with probability below
    2^-64.
    """
    with localcontext(_CONTEXT):
        u, v = (_midpoint(*cell) for cell in (radius, angle))
        value = Decimal(std) * (-2 * u.ln()).sqrt() * _cosine_of_turns(v)
        return int(value.to_integral_value(rounding=ROUND_HALF_EVEN))


def _midpoint(cell: int, bits: int) -> Decimal:
    return (Decimal(cell) + _HALF) / Decimal(2) ** bits


def _cosine_of_turns(turns: Decimal) -> Decimal:
    """Return cos(2π · turns) for turns in [0, 1), by its Taylor series within an eighth of a turn."""
    eighths = int(turns * 8)
    rest = turns - Decimal((eighths + 1) // 2) / 4
    quarter = (eighths + 1) // 2 % 4
    x = 2 * _PI * rest
    value = _taylor(x, odd=quarter % 2 == 1)
    return -value if quarter in (1, 2) else value


def _taylor(x: Decimal, *, odd: bool) -> Decimal:
    """Return sin x (odd) or cos x for |x| ≤ π/4."""
    term = x if odd else Decimal(1)
    index = 1 if odd else 0
    total, square = term, x * x
    while abs(term) > Decimal(10) ** -(_DIGITS - 5):
        index += 2
        term = -term * square / (index * (index - 1))
        total += term
    return total
