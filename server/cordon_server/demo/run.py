"""The demo from first to last step: prepare, run, look, stop, judge."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cordon_common.canonical import canonical_bytes
from cordon_common.cli import console
from cordon_common.errors import CheckFailed, UnreachableError, UsageError
from cordon_common.probe import check_coordinator
from cordon_server.cli.progress import watch_campaign
from cordon_server.coordinator import open_coordinator
from cordon_server.demo.data import write_breast_cancer_cohorts
from cordon_server.demo.federation import START_TIMEOUT_S, Federation
from cordon_server.demo.outcome import Outcome, gather, outcome_view
from cordon_server.runs import superlink_settings
from cordon_server.watching import state_of

if TYPE_CHECKING:
    from cordon_server.home import CoordinatorHome

MARKER = ".cordon-demo"
CONFIGS = Path(__file__).parents[3] / "configs"
_SUFFIXES = {".csv", ".parquet"}


@dataclass(frozen=True)
class DemoSettings:
    """Where the demo works and on what; `None` stands for what the repository brings along."""

    out: Path
    cohorts: Path | None = None
    study: Path | None = None
    policy: Path | None = None
    trust: str | None = None

    @property
    def study_file(self) -> Path:
        """The study to run."""
        return self.study or CONFIGS / "studies" / "breast-cancer.yaml"

    @property
    def policy_file(self) -> Path:
        """The policy of every hospital: the one that counts as the demo is asked to trust."""
        name = "secure-sum.yaml" if self.trust == "secure-sum" else "standard.yaml"
        return self.policy or CONFIGS / "policies" / name


def run_demo(settings: DemoSettings, *, as_json: bool = False) -> Outcome:
    """Run the whole demo; every process that it started has ended when this returns.

    Raises:
        UsageError: US040 to US042 for folders that do not fit.
        CheckFailed: CK901, CK902 when a step fails; CK903 when the outcome is not what it must be.
    """
    started_s = time.monotonic()
    if (settings.cohorts is None) != (settings.study is None):
        raise UsageError("US001", "--cohorts and --study go together")
    root = _fresh_folder(settings.out)
    federation = Federation(
        root,
        _cohorts(settings, root),
        settings.study_file,
        settings.policy_file,
        trust=settings.trust,
        said=_say,
    )
    outcome = _carry(federation, started_s)
    console.show(outcome_view(outcome))
    if as_json:
        console.print_json(outcome.as_json())
    failures = outcome.failures()
    if failures:
        raise CheckFailed("CK903", why="\n".join(failures))
    return outcome


def _carry(federation: Federation, started_s: float) -> Outcome:
    """Carry the federation from set-up to report; all its processes have ended afterwards."""
    root = federation.root
    with federation.processes:
        campaign = _train(federation)
        _heading("Audit bundles, and what an auditor finds in them, offline")
        federation.export()
        audit = federation.verify()
        (root / "audit.json").write_bytes(canonical_bytes(audit))
        federation.write_audit_report()
        outcome = gather(federation, campaign, seconds=time.monotonic() - started_s)
        _write_report(federation, outcome)
    return outcome


def _train(federation: Federation) -> str:
    """Bring the federation up and carry one campaign to its end; return the campaign's name."""
    _heading(
        "Set up: keys are made at each site, the coordinator enrols it, the site takes its kit"
    )
    federation.found()
    federation.start()
    _heading("Sign the study; every hospital reads what it lets out and costs, and approves it")
    federation.agree()
    _heading("Launch: enrol, quality control, gate, private training, evaluation, close")
    _wait_for_superlink(federation)
    federation.launch()
    with open_coordinator(federation.coordinator) as coordinator:
        states = coordinator.store.campaigns()
        campaign = states[-1].campaign
        watch_campaign(coordinator, campaign, as_json=False)
        if state_of(coordinator, campaign).status != "finished":
            raise CheckFailed("CK901", "the campaign did not finish")
    return campaign


def _wait_for_superlink(federation: Federation) -> None:
    with open_coordinator(federation.coordinator) as coordinator:
        home = coordinator.home
        federation.processes.wait_until(
            lambda: _answers(home), what="the coordinator", timeout_s=START_TIMEOUT_S
        )


def _answers(home: CoordinatorHome) -> bool:
    try:
        check_coordinator(superlink_settings(home).local_address, home.tls.ca_certificate)
    except UnreachableError:
        return False
    return True


def _write_report(federation: Federation, outcome: Outcome) -> None:
    local = federation.root / "local-facts.json"
    local.write_bytes(canonical_bytes(outcome.local.model_dump(mode="json")))
    federation.run(
        "study",
        "report",
        federation.study,
        "--home",
        str(federation.coordinator),
        "--audit",
        str(federation.root / "audit.json"),
        "--local",
        str(local),
        "--output",
        str(outcome.report),
    )


def _cohorts(settings: DemoSettings, root: Path) -> dict[str, Path]:
    if settings.cohorts is None:
        return write_breast_cancer_cohorts(root / "cohorts")
    files = sorted(p for p in settings.cohorts.glob("*") if p.suffix.lower() in _SUFFIXES)
    if len(files) < 2:
        raise UsageError("US042")
    return {_site_name(file): file.absolute() for file in files}


def _site_name(file: Path) -> str:
    """Make a site's name out of a file's: lower case letters, digits and hyphens."""
    letters = [c if c.isascii() and c.isalnum() else "-" for c in file.stem.lower()]
    return "".join(letters).strip("-")[:40] or "hospital"


def _fresh_folder(folder: Path) -> Path:
    """Make the demo's folder anew; only an earlier demo's is ever removed.

    Raises:
        UsageError: US041 when it holds something else.
    """
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).is_file():
            raise UsageError("US041")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()
    return folder.resolve()


def _heading(text: str) -> None:
    console.show("")
    console.success(text)


def _say(line: str) -> None:
    console.note(f"  $ {line}")
