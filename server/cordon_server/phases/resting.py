"""Sites that fail rest for 1, 2, 4, 8 rounds; an answer forgives it.

Otherwise one hanging vault would cost every round the whole time limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cordon_server.context import Campaign

LONGEST_REST_ROUNDS = 8


def forgive(campaign: Campaign, sites: Iterable[str]) -> None:
    """Forget earlier failures of sites that answered."""
    for site in sites:
        campaign.silences.pop(site, None)
        campaign.sitting_out.pop(site, None)


def rest(campaign: Campaign, number: int, sites: Iterable[str]) -> None:
    """Leave sites out after they failed in round `number`, longer each time in a row."""
    for site in sites:
        count = campaign.silences.get(site, 0)
        campaign.silences[site] = count + 1
        campaign.sitting_out[site] = number + 1 + min(2**count, LONGEST_REST_ROUNDS)


def dismiss(campaign: Campaign, sites: Iterable[str]) -> None:
    """Leave out sites that said no for good, unless the study's minimum needs them."""
    for site in sites:
        campaign.sitting_out[site] = campaign.study.training.rounds
