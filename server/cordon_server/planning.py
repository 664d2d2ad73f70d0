"""What a person typed beside a study to be planned: trust model, sites and sizes, a lifetime budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.errors import UsageError
from cordon_common.privacy.alternatives import with_sites
from cordon_common.privacy.filter import BudgetFilter
from cordon_server.studies import read_study_or_signed, under_trust

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.protocol.study import Study


def planned_study(path: Path, trust: str | None, sites: str) -> Study:
    """Read a study and put it under a trust model and on sites of given sizes, if they were given.

    Raises:
        UsageError: US001 when the sites cannot be read, US002; ProtocolError: PR001, PR002.
    """
    study = read_study_or_signed(path)
    if sites:
        study = with_sites(study, _sizes(sites))
    return under_trust(study, trust)


def same_budget(study: Study, lifetime: str) -> dict[str, BudgetFilter]:
    """Give every site of the roster one untouched lifetime budget; none when nothing was typed.

    Raises:
        UsageError: US001 when the budget cannot be read.
    """
    if not lifetime:
        return {}
    epsilon, _, delta = lifetime.partition(":")
    try:
        numbers = float(epsilon), float(delta or study.privacy.delta)
    except ValueError:
        raise UsageError(
            "US001", f"--lifetime {lifetime!r} is not epsilon:delta", fix="write --lifetime 10:1e-4"
        ) from None
    budget = BudgetFilter(*numbers, study.privacy.trust_model)
    return {entry.site: budget for entry in study.roster}


def _sizes(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in text.split(","):
        site, _, size = part.strip().partition("=")
        if not site or not size.isdigit() or int(size) < 1 or site in found:
            raise UsageError(
                "US001",
                f"--sites {text!r} is not a list of sites and sizes",
                fix="write --sites north=180,east=90",
            )
        found[site] = int(size)
    return found
