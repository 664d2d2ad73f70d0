"""The coordinator's folder: settings, keys, stores, signed studies, results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import Field

from cordon_common.clock import utc_now
from cordon_common.errors import UsageError
from cordon_common.ledger.coordinator import CoordinatorLog, upgrade_coordinator_log
from cordon_common.protocol.dictionary import Slug
from cordon_common.protocol.parse import load_yaml, parse_model
from cordon_common.signing import SigningKey
from cordon_common.strict import StrictModel
from cordon_server.transport.tls import TlsFiles, create_ca, create_server_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from cordon_common.clock import Clock

SETTINGS_FILE = "coordinator.yaml"


class CoordinatorSettings(StrictModel):
    """What a coordinator is called and where sites reach it.

    `listen`: HOST:PORT of the SuperLink where a proxy stands before it; empty means at the address.
    `database`: SQLAlchemy URL of the store; empty means SQLite in the folder. `site_wait_s`: how
    long a campaign waits for the roster to come online before it goes on without the missing.
    """

    name: Slug = Field(examples=["heart-consortium"])
    address: str = Field(
        pattern=r"^[A-Za-z0-9.\-]+:[0-9]{1,5}$", examples=["coordinator.example.org:8443"]
    )
    listen: str = Field(
        default="", pattern=r"^([A-Za-z0-9.\-]+:[0-9]{1,5})?$", examples=["127.0.0.1:18443"]
    )
    database: str = Field(default="", max_length=500, examples=["postgresql+psycopg://…"])
    site_wait_s: float = Field(default=120, gt=0, le=86_400, examples=[120])
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", examples=["info"]
    )

    @property
    def host(self) -> str:
        """Host part of the address."""
        return self.address.rsplit(":", 1)[0]

    @property
    def port(self) -> int:
        """Port part of the address."""
        return int(self.address.rsplit(":", 1)[1])


@dataclass(frozen=True)
class CoordinatorHome:
    """Where things lie in a coordinator's folder."""

    root: Path
    settings: CoordinatorSettings

    @property
    def signing_key_file(self) -> Path:
        """Ed25519 identity of the coordinator (0600)."""
        return self.root / "keys" / "signing.pem"

    @property
    def tls(self) -> TlsFiles:
        """Certificate authority, server certificate and key."""
        return TlsFiles.at(self.root / "tls")

    @property
    def log_file(self) -> Path:
        """The coordinator's append-only log."""
        return self.root / "log.db"

    @property
    def sites_dir(self) -> Path:
        """Enrolment requests and kits, one pair per site."""
        return self.root / "sites"

    @property
    def studies_dir(self) -> Path:
        """Signed studies, named by digest."""
        return self.root / "studies"

    @property
    def reports_dir(self) -> Path:
        """Reports for people."""
        return self.root / "reports"

    @property
    def store_url(self) -> str:
        """SQLAlchemy URL of the store."""
        return self.settings.database or f"sqlite:///{self.root / 'store.db'}"

    def results_dir(self, campaign: str) -> Path:
        """Model, model card and bundle of one campaign."""
        return self.root / "results" / campaign

    def signed_study_file(self, digest: str) -> Path:
        """The signed study with this digest."""
        return self.studies_dir / f"{digest.removeprefix('sha256:')}.signed.json"

    def signing_key(self) -> SigningKey:
        """Load the coordinator's identity key.

        Raises:
            IntegrityError: IN002 when it cannot be read.
        """
        return SigningKey.load(self.signing_key_file)


def create_home(
    root: Path, settings: CoordinatorSettings, clock: Clock = utc_now
) -> CoordinatorHome:
    """Make the folder: settings, identity key, certificate authority, server certificate, log.

    Raises:
        UsageError: US003 when the folder holds something already.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UsageError("US003", f"{root.name} is not an empty folder")
    root.mkdir(parents=True, exist_ok=True)
    root.chmod(0o700)
    home = CoordinatorHome(root.resolve(), settings)
    for folder in ("keys", "tls", "sites", "studies", "reports", "results"):
        (home.root / folder).mkdir(mode=0o700)
    key = SigningKey.generate()
    key.save(home.signing_key_file)
    create_ca(home.tls, name=settings.name, clock=clock)
    create_server_certificate(home.tls, [settings.host], clock=clock)
    CoordinatorLog.open(
        home.log_file, key=key, name=settings.name, clock=clock, create=True
    ).close()
    text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)
    (home.root / SETTINGS_FILE).write_text(text, encoding="utf-8")  # last: makes the folder a home
    return home


def open_log(home: CoordinatorHome, clock: Clock) -> CoordinatorLog:
    """Open the coordinator's append-only log and compute it again.

    Raises:
        IntegrityError: IN002, or IN101 to IN107 when it was changed.
    """
    return CoordinatorLog.open(
        home.log_file, key=home.signing_key(), name=home.settings.name, clock=clock
    )


def upgrade_log(home: CoordinatorHome, clock: Clock) -> tuple[int, int]:
    """Bring the log of an older version to this one; return both versions.

    Raises:
        IntegrityError: IN002, or IN101 to IN107 when it was changed or is of a newer version.
    """
    return upgrade_coordinator_log(
        home.log_file, key=home.signing_key(), name=home.settings.name, clock=clock
    )


def open_home(root: Path) -> CoordinatorHome:
    """Read an existing coordinator folder.

    Raises:
        UsageError: US020 when there is none.
        ProtocolError: PR002 or PR004 when its settings are not valid.
    """
    path = root / SETTINGS_FILE
    if not path.is_file():
        raise UsageError("US020", f"there is no {SETTINGS_FILE} in {root.name or 'this folder'}")
    settings = parse_model(
        CoordinatorSettings,
        load_yaml(path),
        code="PR004",
        what=f"{SETTINGS_FILE} is not valid",
    )
    return CoordinatorHome(root.resolve(), settings)
