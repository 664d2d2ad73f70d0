"""From the cohort file to what a study trains on: read once, checked, encoded, split."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cordon_client.qc.identity import holdout_mask
from cordon_client.qc.tabular import run_table_qc
from cordon_client.tensors.tabular import encode, split
from cordon_common.errors import DataError

if TYPE_CHECKING:
    from cordon_client.home import SiteConfig
    from cordon_client.qc.sample_gate import SampleGate
    from cordon_client.qc.tabular import TableQc
    from cordon_client.records import Tensors
    from cordon_common.protocol.study import Study

_FINGERPRINT_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class StudyCohort:
    """A site's patients in one study: quality control's findings, and two disjoint populations."""

    qc: TableQc
    train: Tensors
    holdout: Tensors


def load_cohort(
    study: Study, config: SiteConfig, split_key: bytes, samples: SampleGate | None = None
) -> StudyCohort:
    """Read, check, encode and split the cohort. samples: which sample files passed.

    Guarantee: a patient's side of the split is a fixed function of the keyed hash of the
    patient's identity, so one patient more or less moves nobody else.

    Raises:
        DataError: when the file cannot be used at all (see `docs/errors.md`, DA).
    """
    qc = run_table_qc(
        study,
        Path(config.dataset.file),
        split_key,
        max_bytes=config.limits.data_file_bytes,
        samples=samples,
    )
    fraction = study.evaluation.holdout_fraction
    train, holdout = split(
        encode(qc.clean, study.cohort), holdout_mask(qc.clean.patients, fraction).tolist()
    )
    return StudyCohort(qc, train, holdout)


def fingerprint(file: Path, key: bytes, *, max_bytes: int, samples: str = "") -> str:
    """Return `hmac-sha256:<hex>` of the cohort file; keyed, so that no outsider can test a guess.

    samples: the digest of what became of its sample files, which is part of the data then.

    Raises:
        DataError: DA001 when the file is missing, DA010 when it is larger than the site allows,
            DA015 when it cannot be read.
    """
    content = hashlib.sha256()
    try:
        if file.stat().st_size > max_bytes:
            raise DataError("DA010", why=f"the limit is {max_bytes} bytes")
        with file.open("rb") as stream:
            while chunk := stream.read(_FINGERPRINT_CHUNK_BYTES):
                content.update(chunk)
    except FileNotFoundError:
        raise DataError("DA001") from None
    except OSError as error:
        raise DataError("DA015", why=error.strerror or "") from None
    return "hmac-sha256:" + hmac.new(key, content.digest() + samples.encode(), "sha256").hexdigest()
