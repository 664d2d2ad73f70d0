"""`cordon site qc`: the full local check of a cohort, without vault, ledger or coordinator."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from cordon_client.enrol import SPLIT_KEY_BYTES, load_split_key
from cordon_client.home import Limits, SiteHome
from cordon_client.kit import read_envelope
from cordon_client.qc.tabular import run_table_qc
from cordon_client.sample_qc import open_gate
from cordon_common.protocol.parse import STUDY_TYPE, load_study, parse_model
from cordon_common.protocol.study import Study

if TYPE_CHECKING:
    from cordon_client.qc.tabular import TableQc


def check_locally(cohort: Path, study: Study) -> TableQc:
    """Check a cohort file, or the cohort of a site's folder, against a study.

    Where the study asks for checked sample files, those of a site must have been checked before.
    For a bare file the patient hashes use a key that is thrown away, so they can be compared with
    nothing.

    Raises:
        UsageError, ProtocolError, DataError: as the readers do.
    """
    if not cohort.is_dir():
        key = secrets.token_bytes(SPLIT_KEY_BYTES)
        return run_table_qc(study, cohort, key, max_bytes=Limits().data_file_bytes)
    home = SiteHome(cohort)
    config = home.config()
    return run_table_qc(
        study,
        Path(config.dataset.file),
        load_split_key(home),
        max_bytes=config.limits.data_file_bytes,
        samples=open_gate(home, config, study),
    )


def read_study(path: Path) -> Study:
    """Read a study in YAML, or a signed study (`.json`).

    Raises:
        UsageError, ProtocolError, IntegrityError: as the readers do.
    """
    if path.suffix != ".json":
        return load_study(path)
    envelope = read_envelope(path)
    envelope.verify(STUDY_TYPE)
    return parse_model(Study, envelope.payload, code="PR001", what="the study is not valid")
