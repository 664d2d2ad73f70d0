"""When a number over several hospitals is in truth one hospital's: the dominance rule.

The (n, k) rule with n = 1 (Willenborg, de Waal 2001, §4.2.2), on the number of patients who stand
behind the number. Within one hospital it follows from suppression: each patient brings at most one
unit to a histogram, so of a count of k or more no patient is more than 1/k.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def dominates(patients: Sequence[float], most: float) -> bool:
    """Tell whether one contributor brings more than `most` (a share) of all patients.

    Noised numbers below zero count as none. Without any patients there is nothing to show: True.
    """
    counted = [max(number, 0.0) for number in patients]
    return max(counted, default=0.0) > most * sum(counted) or not any(counted)
