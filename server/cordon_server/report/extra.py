"""What may be added to a report from outside the coordinator: local reports, an audit's result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import ConfigDict, Field

from cordon_common.canonical import parse_json
from cordon_common.errors import UsageError
from cordon_common.protocol.dictionary import Slug
from cordon_common.protocol.parse import MAX_CONFIG_BYTES, parse_model
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.canonical import Json

Share = Annotated[float, Field(ge=0, le=1)]


class LocalFacts(StrictModel):
    """What a hospital chose to tell from its own local report; exact, never known otherwise.

    excluded: number of records by reason. alone_auc: of the model that it could train by itself,
    on its own held-out patients, with an interval where it gave one.
    """

    records: int | None = Field(default=None, ge=0)
    kept: int | None = Field(default=None, ge=0)
    excluded: dict[str, int] = Field(default_factory=dict)
    alone_auc: Share | None = None
    alone_low: Share | None = None
    alone_high: Share | None = None


class LocalReports(StrictModel):
    """The file for `--local`: facts by site."""

    kind: Literal["local-facts.v1"] = "local-facts.v1"
    sites: dict[Slug, LocalFacts]


class AuditRow(StrictModel):
    """One check of an audit."""

    check: str
    claim: str
    status: Literal["PASS", "FAIL", "NOT PROVEN"]
    evidence: str


class AuditPart(StrictModel):
    """The checks of one bundle, or of all together."""

    model_config = ConfigDict(extra="ignore")  # spending is recomputed here from the receipts

    title: str
    rows: tuple[AuditRow, ...]


class AuditOutcome(StrictModel):
    """The file for `--audit`: what `cordon audit verify --json` printed."""

    audit: Literal["cordon.audit.v1"]
    verdict: Literal["PASS", "FAIL", "NOT PROVEN"]
    parts: tuple[AuditPart, ...]


def read_local(path: Path | None) -> LocalReports | None:
    """Read the sites' local facts.

    Raises:
        UsageError: US002; ProtocolError: PR004, PR011.
    """
    if path is None:
        return None
    what = f"{path.name} does not hold local facts"
    return parse_model(LocalReports, _read(path), code="PR004", what=what)


def read_audit(path: Path | None) -> AuditOutcome | None:
    """Read an audit's result.

    Raises:
        UsageError: US002; ProtocolError: PR004, PR011.
    """
    if path is None:
        return None
    what = f"{path.name} is not the result of cordon audit verify --json"
    return parse_model(AuditOutcome, _read(path), code="PR004", what=what)


def _read(path: Path) -> Json:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise UsageError("US002", f"{path.name} is larger than 8 MiB")
        return parse_json(path.read_bytes())
    except OSError as error:
        raise UsageError("US002", f"cannot read {path.name}", why=error.strerror or "") from None
