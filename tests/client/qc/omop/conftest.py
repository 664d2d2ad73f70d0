import pytest
from tests.support.omop_tables import make_export, write_export

from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.omop.modality import MODALITY
from cordon_client.qc.work import Work, carry_out
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

BAD = {Severity.WARN, Severity.FAIL, Severity.ERROR}


@pytest.fixture
def export():
    """The tables of a faultless synthetic hospital."""
    return make_export()


def _judged(folder):
    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    work = Work(MODALITY, (SampleFiles("north", files),), builtin_profile("omop.v1"))
    (found,) = carry_out(work, lambda done, total: None)
    return found


@pytest.fixture
def judged():
    """Judge a folder of tables."""
    return _judged


@pytest.fixture
def findings(tmp_path):
    """Write an export and return {(check, subject): result} of what did not pass."""

    def run(tables, kind="csv"):
        found = _judged(write_export(tmp_path / "export", tables, kind))
        return {(r.check, r.subject): r for r in found.results if r.severity in BAD}

    return run
