"""A consortium on one machine: the same commands that real hospitals type, and real processes."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cordon_common.cli.main import INTERRUPTED
from cordon_common.cli.main import main as cordon
from cordon_common.errors import CheckFailed, UsageError
from cordon_server.demo.processes import Processes, free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from cordon_common.canonical import Json

START_TIMEOUT_S = 120.0
SOCKET_PATH_MAX_BYTES = 100


@dataclass
class Federation:
    """One coordinator and a hospital per cohort file, under one folder.

    `trust` signs the study under another trust model than it names. `said` is called with each
    command line before it runs.
    """

    root: Path
    cohorts: dict[str, Path]
    study_file: Path
    policy_file: Path
    trust: str | None = None
    said: Callable[[str], None] = lambda _line: None
    processes: Processes = field(init=False)
    study: str = ""

    def __post_init__(self) -> None:
        longest = max(self.cohorts, key=len)
        socket = self.site(longest) / "run" / "vault.sock"
        if len(str(socket.absolute()).encode()) > SOCKET_PATH_MAX_BYTES:
            raise UsageError("US040")
        self.processes = Processes(self.root / "logs")

    @property
    def coordinator(self) -> Path:
        """The coordinator's folder."""
        return self.root / "coordinator"

    @property
    def signed_study(self) -> Path:
        """The signed study, as it is sent to the sites."""
        return self.root / "study.signed.json"

    @property
    def bundles(self) -> dict[str, Path]:
        """Where the audit bundles go: one per hospital, and the coordinator's."""
        names = [*self.cohorts, "coordinator"]
        return {name: self.root / "bundles" / f"{name}.zip" for name in names}

    @property
    def audit_report(self) -> Path:
        """The audit for a reader; the same as PDF lies beside it."""
        return self.root / "audit-report.html"

    def site(self, name: str) -> Path:
        """A hospital's folder."""
        return self.root / "sites" / name

    def found(self) -> None:
        """Set up coordinator and sites, and enrol every site at the coordinator."""
        address = f"127.0.0.1:{free_port()}"
        home = str(self.coordinator)
        self.run("coordinator", "init", home, "--name", "demo", "--address", address)
        (self.root / "sites").mkdir()
        for name, cohort in self.cohorts.items():
            site = self.site(name)
            kit = self.root / "sites" / f"{name}.kit.json"
            settings = ("--name", name, "--data", str(cohort), "--policy", str(self.policy_file))
            self.run("site", "init", str(site), *settings)
            request = str(site / "enrolment-request.json")
            self.run("coordinator", "enrol", request, "--output", str(kit), "--home", home)
            self.run("site", "join", str(site), str(kit))

    def start(self) -> None:
        """Start every process; they wait for one another by themselves."""
        self.processes.start("coordinator", "coordinator", "serve", str(self.coordinator))
        for name in self.cohorts:
            self.processes.start(f"{name}-gateway", "site", "gateway", str(self.site(name)))
        for name in self.cohorts:
            self.processes.start(f"{name}-vault", "site", "vault", str(self.site(name)))

    def agree(self) -> None:
        """Sign the study at the coordinator and approve it at every site."""
        home = ("--home", str(self.coordinator))
        signed = str(self.signed_study)
        trust = ("--trust", self.trust) if self.trust else ()
        self.run("study", "sign", str(self.study_file), "--output", signed, *trust, *home)
        self.study = json.loads(self.signed_study.read_bytes())["payload"]["name"]
        for name in self.cohorts:
            self.run("site", "approve", str(self.site(name)), signed, "--yes", "--by", "demo")

    def launch(self) -> None:
        """Start the campaign."""
        self.run("study", "launch", self.study, "--home", str(self.coordinator))

    def export(self) -> None:
        """Write the audit bundles."""
        (self.root / "bundles").mkdir(exist_ok=True)
        for name in self.cohorts:
            self.run("site", "export", str(self.site(name)), "-o", str(self.bundles[name]))
        target = str(self.bundles["coordinator"])
        self.run("study", "export", self.study, "-o", target, "--home", str(self.coordinator))

    def verify(self) -> Json:
        """Verify all bundles together and return the verdict as JSON; a FAIL does not raise."""
        bundles = [str(path) for path in self.bundles.values()]
        return self.read_json("audit", "verify", *bundles, "--json", allow=(0, 1))

    def write_audit_report(self) -> None:
        """Write what an auditor hands to an ethics board: one page, and the same on paper."""
        bundles = [str(path) for path in self.bundles.values()]
        self._call(("audit", "report", *bundles, "-o", str(self.audit_report)), (0, 1))

    def run(self, *arguments: str) -> None:
        """Run one `cordon` command in this process, quietly.

        Raises:
            CheckFailed: CK902 with what the command said, when it fails.
            KeyboardInterrupt: when Ctrl-C ended it.
        """
        self._call(arguments, (0,))

    def read_json(self, *arguments: str, allow: tuple[int, ...] = (0,)) -> Json:
        """Run one `cordon` command and parse what it prints on stdout."""
        return json.loads(self._call(arguments, allow))

    def _call(self, arguments: tuple[str, ...], allow: tuple[int, ...]) -> str:
        self.said("cordon " + " ".join(self._short(argument) for argument in arguments))
        heard, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(heard), contextlib.redirect_stderr(told):
            status = cordon(list(arguments))
        if status == INTERRUPTED:
            raise KeyboardInterrupt
        self.processes.raise_if_interrupted()
        if status not in allow:
            verb = " ".join(arguments[:2])
            raise CheckFailed("CK902", f"cordon {verb} ended with {status}", why=told.getvalue())
        return heard.getvalue()

    def _short(self, argument: str) -> str:
        """Write paths relative to the demo's folder, or to where we are: shorter to read."""
        return argument.removeprefix(f"{self.root}/").removeprefix(f"{Path.cwd()}/")
