"""What a hospital reads before it approves."""

import io

import pytest
from rich.console import Console
from tests.support.small_site import make_site, write_cohort

from cordon_client.approval import terms_of
from cordon_client.cli.render import terms_view


@pytest.mark.parametrize("width", [80, 120])
def test_the_limits_of_reports_are_approved_knowingly(tmp_path, width):
    limits = {"gate": {"min_patients": 20, "min_sites": 2}, "disclosure": {"min_cell": 25}}
    table = write_cohort(tmp_path / "cohort.csv")
    study = make_site(tmp_path / "north", table, approve=False, qc=limits).study
    text = io.StringIO()
    Console(file=text, width=width).print(terms_view(terms_of(study), (5.0, 0.0, 3.0)))
    told = " ".join(text.getvalue().split())
    assert "show no number below 25 patients" in told
    assert "brings more than 80%" in told
    assert max(map(len, text.getvalue().splitlines())) <= width
