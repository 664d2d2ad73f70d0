"""What a real vault wrote into its ledger passes the audit."""

from __future__ import annotations

from cordon_client.home import SiteHome
from cordon_client.office import Office
from cordon_common.audit.verify import verify_bundles
from cordon_common.clock import utc_now


def test_a_sites_bundle_passes_after_all_kinds_of_releases(site, airlock, vault, weights, tmp_path):
    airlock.answer("qc", site.request("qc"))
    airlock.answer("train", site.request("train", weights=weights))
    airlock.answer("evaluate", site.request("evaluate", weights=weights))
    with Office.open(SiteHome(site.home.root), clock=utc_now) as office:
        office.export(tmp_path / "north.zip")
        office.export(tmp_path / "again.zip")
    assert (tmp_path / "north.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    part = verify_bundles([tmp_path / "north.zip"]).parts[0]
    assert [row for row in part.rows if row.status != "PASS"] == []
    assert [item.releases for item in part.spending] == [3, 3, 3]
