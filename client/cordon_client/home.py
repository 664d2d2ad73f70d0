"""A site's folder: what lies where, and its configuration file.

```
site.yaml            name, dataset, limits, performance       vault/keys/   identity, split key
policy.yaml          what this hospital allows                vault/ledger.db
gateway/             kit, CA, SuperNode key, Flower's folder  vault/reports/  stay here
run/vault.sock       the only way from gateway to vault
```

The gateway needs `gateway/` and `run/` alone; in containers the rest is not mounted there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from cordon_common.enrolment import KeyText
from cordon_common.errors import SystemFault, UsageError
from cordon_common.protocol.dictionary import Slug
from cordon_common.protocol.parse import load_yaml, parse_model
from cordon_common.strict import StrictModel

if TYPE_CHECKING:
    from pathlib import Path

SOCKET_PATH_MAX_BYTES = 100
"""Unix socket addresses are limited to 108 bytes on Linux (unix(7)); gRPC needs a few itself."""


Device = Literal["cpu", "cuda"]
"""Where a vault computes clipped sums; its noise is made on the CPU in either case."""


class SampleSheet(StrictModel):
    """Which sample files belong to the cohort file's patients.

    sheet: a cohort manifest that names every sample's patient. column: the cohort file's column of
    sample names, where its records are of single samples; without it a record is its patient's.
    profiles: files of those profiles that a study names and the program does not bring.
    """

    sheet: str = Field(min_length=1, examples=["/data/samples.csv"])
    column: str | None = Field(default=None, min_length=1, examples=["sample_id"])
    profiles: tuple[str, ...] = Field(default=(), examples=[["/data/fastq-rna-seq.v1.yaml"]])


class Dataset(StrictModel):
    """The cohort file and the name under which its privacy budget is kept for life."""

    id: Slug = Field(examples=["cardiology-2026"])
    file: str = Field(min_length=1, examples=["/data/cohort.csv"])
    samples: SampleSheet | None = Field(default=None)


class Limits(StrictModel):
    """Caps that keep a mistake or a hostile peer from filling memory; sizes in bytes."""

    data_file_bytes: Annotated[int, Field(gt=0)] = Field(
        default=2 * 1024**3, examples=[2 * 1024**3]
    )
    message_bytes: Annotated[int, Field(gt=0)] = Field(default=256 * 1024**2, examples=[268435456])


class Performance(StrictModel):
    """What changes speed alone; no study names it, no approval and no ledger entry depends on it."""

    device: Device = Field(default="cpu", examples=["cpu"])


class SiteConfig(StrictModel):
    """`site.yaml`: who this hospital is, where its data lies, whose releases it runs."""

    name: Slug = Field(examples=["hospital-north"])
    dataset: Dataset
    limits: Limits = Limits()
    performance: Performance = Performance()
    release_key: KeyText | None = Field(default=None, examples=["ed25519:…"])


@dataclass(frozen=True)
class SiteHome:
    """The paths of a site's folder."""

    root: Path

    @property
    def config_file(self) -> Path:
        """`site.yaml`."""
        return self.root / "site.yaml"

    @property
    def policy_file(self) -> Path:
        """`policy.yaml`."""
        return self.root / "policy.yaml"

    @property
    def identity_key(self) -> Path:
        """The Ed25519 key that signs receipts and checkpoints."""
        return self.root / "vault" / "keys" / "identity.pem"

    @property
    def split_key(self) -> Path:
        """The 32-byte key of patient hashes."""
        return self.root / "vault" / "keys" / "split.key"

    @property
    def sum_secrets(self) -> Path:
        """Secrets behind the keys of masked sums, one per study; gone once it is trained."""
        return self.root / "vault" / "keys" / "sums"

    @property
    def ledger(self) -> Path:
        """The privacy ledger."""
        return self.root / "vault" / "ledger.db"

    @property
    def reports(self) -> Path:
        """Local reports in full detail; they stay."""
        return self.root / "vault" / "reports"

    @property
    def checked_samples(self) -> Path:
        """What became of sample files in quality control, one file per set of profiles."""
        return self.root / "vault" / "samples"

    @property
    def gateway(self) -> Path:
        """All that the gateway needs besides the socket."""
        return self.root / "gateway"

    @property
    def supernode_key(self) -> Path:
        """The EC P-384 key by which the SuperNode authenticates."""
        return self.gateway / "supernode"

    @property
    def next_supernode_key(self) -> Path:
        """A SuperNode key that the coordinator has not confirmed yet."""
        return self.gateway / "supernode-next"

    @property
    def kit_file(self) -> Path:
        """The coordinator's signed kit."""
        return self.gateway / "kit.json"

    @property
    def ca_certificate(self) -> Path:
        """The certificate authority of the coordinator's server."""
        return self.gateway / "ca.crt"

    @property
    def enrolment_request(self) -> Path:
        """The signed request that is sent to the coordinator."""
        return self.root / "enrolment-request.json"

    @property
    def socket(self) -> Path:
        """The vault's unix socket.

        Raises:
            SystemFault: SY004 when the path is too long for a unix socket.
        """
        path = self.root.absolute() / "run" / "vault.sock"
        if len(str(path).encode()) > SOCKET_PATH_MAX_BYTES:
            raise SystemFault("SY004", why=f"{len(str(path).encode())} bytes")
        return path

    def config(self) -> SiteConfig:
        """Read `site.yaml`.

        Raises:
            UsageError: US002 when the folder is not a site's; ProtocolError: PR004.
        """
        if not self.config_file.is_file():
            raise UsageError(
                "US002", "the folder holds no site.yaml", fix="make it with: cordon site init"
            )
        return parse_model(
            SiteConfig, load_yaml(self.config_file), code="PR004", what="site.yaml is not valid"
        )
