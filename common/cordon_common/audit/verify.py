"""`verify_bundles`: are the budgets that were claimed true, and were they kept? Offline, no torch.

An auditor needs the bundles and nothing else. Every check is one row: PASS, FAIL, or NOT PROVEN
where the bundles at hand do not decide it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cordon_common.audit.bundle import Bundle, read_bundle
from cordon_common.audit.chain import check_chain
from cordon_common.audit.coordinator import check_coordinator
from cordon_common.audit.heads import (
    check_cosigned,
    check_cosigned_is_known,
    check_same_log,
    check_witnessed,
)
from cordon_common.audit.reconcile import check_together
from cordon_common.audit.result import AuditResult, BundleAudit, Row, judge
from cordon_common.audit.site import check_site
from cordon_common.audit.spending import check_spending
from cordon_common.audit.views import View
from cordon_common.errors import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cordon_common.audit.result import Spending
    from cordon_common.signing import PublicKey


def verify_bundles(paths: Sequence[Path], *, trusted: Sequence[PublicKey] = ()) -> AuditResult:
    """Check bundles one by one and against each other.

    trusted: coordinator keys that the auditor knows from elsewhere; without them the keys that the
    hospitals' own policies trust count.

    Raises:
        UsageError: US002 when a file is missing.
    """
    parts: list[BundleAudit] = []
    sites: list[tuple[Bundle, View]] = []
    coordinators: list[tuple[Bundle, View]] = []
    for path in paths:
        try:
            bundle = read_bundle(path)
        except CheckFailed as error:
            row = judge("bundle", "the file is an audit bundle", "", problems=(error.why,))
            parts.append(BundleAudit("unreadable", path.name, (row,)))
            continue
        part, view = _verify(bundle, trusted)
        parts.append(part)
        if view is not None:
            (sites if bundle.manifest.role == "site" else coordinators).append((bundle, view))
    together = (
        *check_together(sites, coordinators),
        check_same_log(sites, coordinators),
        check_cosigned_is_known(sites, coordinators),
    )
    parts.append(BundleAudit("all together", "", together))
    return AuditResult(tuple(parts))


def _verify(bundle: Bundle, trusted: Sequence[PublicKey]) -> tuple[BundleAudit, View | None]:
    """Check one bundle; return its entries for the comparison if they could be read."""
    rows = check_chain(bundle)
    if any(row.check == "entries" and row.status == "FAIL" for row in rows):
        unread = Row(
            "contents",
            "what the entries say holds together",
            "NOT PROVEN",
            "some entries cannot be read",
        )
        return BundleAudit(bundle.title, bundle.file, (*rows, unread)), None
    view = View.of(bundle.parsed[0])
    spending: tuple[Spending, ...] = ()
    if bundle.manifest.role == "site":
        rows += (*check_site(bundle, view, trusted), check_witnessed(view))
        costs, spending = check_spending(bundle, view)
        rows += costs
    else:
        rows += (*check_coordinator(bundle, view, trusted), check_cosigned(bundle, view))
    return BundleAudit(bundle.title, bundle.file, rows, spending), view
