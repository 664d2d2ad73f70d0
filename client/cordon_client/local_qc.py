"""`cordon site qc`: the full local check of a cohort, without vault, ledger or coordinator."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from cordon_client.enrol import SPLIT_KEY_BYTES, load_split_key
from cordon_client.home import Limits, SiteHome
from cordon_client.kit import read_envelope
from cordon_client.qc.tabular import run_table_qc
from cordon_common.protocol.parse import STUDY_TYPE, load_study, parse_model
from cordon_common.protocol.study import Study

if TYPE_CHECKING:
    from cordon_client.qc.tabular import TableQc


def check_locally(cohort: Path, study_file: Path) -> tuple[Study, TableQc]:
    """Check a cohort file, or the cohort of a site's folder, against a study.

    study_file: a study in YAML, or a signed study (`.json`). For a bare file the patient hashes
    use a key that is thrown away, so they can be compared with nothing.

    Raises:
        UsageError, ProtocolError, DataError: as the readers do.
    """
    study = _read_study(study_file)
    if cohort.is_dir():
        home = SiteHome(cohort)
        config = home.config()
        file, key, limit = Path(config.dataset.file), load_split_key(home), config.limits
    else:
        file, key, limit = cohort, secrets.token_bytes(SPLIT_KEY_BYTES), Limits()
    return study, run_table_qc(study, file, key, max_bytes=limit.data_file_bytes)


def _read_study(path: Path) -> Study:
    if path.suffix != ".json":
        return load_study(path)
    envelope = read_envelope(path)
    envelope.verify(STUDY_TYPE)
    return parse_model(Study, envelope.payload, code="PR001", what="the study is not valid")
