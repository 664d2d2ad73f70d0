"""A small federation of real processes on this machine, kept up as an init system would.

The same `cordon` commands that people type, three hospitals with synthetic patients, a coordinator
over TLS. Vaults, gateways and the coordinator come back when they end (`restart: always`), after
half a second; a campaign that nobody carries is resumed by hand, as an operator does.
"""

from __future__ import annotations

import contextlib
import csv
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import psutil

from cordon_common.canonical import Json, canonical_bytes
from cordon_common.errors import CheckFailed, UnreachableError
from cordon_common.probe import check_coordinator
from cordon_server.demo.federation import Federation
from cordon_server.home import open_home
from cordon_server.runs import control, superlink_settings
from cordon_server.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cordon_server.store import CampaignState, ProgressEvent

RESTART_AFTER_S = 0.5
START_TIMEOUT_S = 120.0
STUDY = "kill-test"
_MODULES = {
    "superlink": "cordon_server.transport.superlink_process",
    "serverapp": "cordon_server.transport.serverapp_process",
    "node": "cordon_client.gateway.node",
}
_POLICY = """trusted_coordinators: []
lifetime: {epsilon: 100.0, delta: 1.0e-3}
study:
  max_epsilon: 4.0
  max_delta: 1.0e-4
  min_patients: 20
  min_sites: 1
  algorithms: [dp-fedsgd]
  models: [logistic]
  trust_models: [local, secure-sum]
"""


@dataclass(frozen=True)
class Shape:
    """What is trained and how patiently; times in seconds."""

    sites: tuple[str, ...] = ("ash", "elm", "oak")
    min_sites: int = 3
    rounds: int = 8
    patients: int = 160
    round_timeout_s: float = 60.0
    max_attempts: int = 5
    trust_model: str = "local"

    def study(self, version: int) -> Json:
        """Return the study as it is signed, in one of its versions."""
        number = {"type": "number", "unit": "1", "range": [-9, 9], "typical": [-3, 3]}
        return {
            "cordon": 1,
            "name": STUDY,
            "version": version,
            "purpose": "Train on synthetic patients while processes are killed.",
            "permit": {"id": "synthetic", "end_date": "2099-12-31"},
            "cohort": {
                "patient_id": "patient_id",
                "features": [{"name": name, **number} for name in ("first", "second", "third")],
                "label": {"name": "outcome", "positive": ["1"], "negative": ["0"]},
            },
            "qc": {"gate": {"min_patients": 40, "min_sites": self.min_sites}},
            "model": {"family": "logistic"},
            "training": {
                "algorithm": "dp-fedsgd",
                "rounds": self.rounds,
                "clip_norm": 1.0,
                "divisor": 300,
                "optimizer": {"name": "sgd", "learning_rate": 1.0},
            },
            "privacy": {
                "epsilon": 2.0,
                "delta": 1e-5,
                "qc_share": 0.3,
                "unprotected": ["participation", "qc_verdict"],
                "trust_model": self.trust_model,
            },
            "evaluation": {"bins": 5},
            "timing": {
                "round_timeout_s": self.round_timeout_s,
                "max_attempts": self.max_attempts,
            },
        }


class Consortium:
    """The running federation; use as a context manager, which leaves no process behind."""

    def __init__(self, root: Path, shape: Shape = Shape()) -> None:
        self.shape = shape
        self.federation = Federation(
            root, _cohorts(root, shape), root / "study.yaml", _policy(root)
        )
        self._commands = _commands(self.federation)
        self._version = 0
        self._stopping = threading.Event()
        self._restarting = threading.RLock()
        self._down: set[str] = set()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.federation.processes)
            self.federation.found()
            self.federation.start()
            self.home = open_home(self.federation.coordinator)
            self.store = open_store(self.home.store_url)
            stack.callback(self.store.close)
            wait_until(self.coordinator_answers, START_TIMEOUT_S, "the coordinator")
            keeper = threading.Thread(target=self._keep_up, name="keeper")
            keeper.start()
            stack.callback(keeper.join)
            stack.callback(self._stopping.set)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- processes -------------------------------------------------------------------------------

    def processes(self) -> dict[str, int]:
        """Return the process ids of everything that runs now, by name."""
        with self._restarting:
            started = {
                name: process.pid
                for name, process in self.federation.processes.running.items()
                if process.poll() is None
            }
        found = dict(started)
        for name, pid in started.items():
            for child, role in _children(pid):
                found[role if name == "coordinator" else name.replace("gateway", role)] = child
        return found

    def kill(self, name: str) -> None:
        """Send SIGKILL to one process; a process that has ended meanwhile is left alone."""
        pid = self.processes().get(name)
        if pid is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()

    def take_down(self, site: str) -> None:
        """Kill a hospital's processes and do not start them again until `bring_back`."""
        self._down |= {f"{site}-vault", f"{site}-gateway"}
        for name in (f"{site}-vault", f"{site}-gateway", f"{site}-node"):
            self.kill(name)

    def bring_back(self, site: str) -> None:
        """Let a hospital's processes start again."""
        self._down -= {f"{site}-vault", f"{site}-gateway"}

    def online(self) -> set[str]:
        """Name the sites whose gateways are connected."""
        with control(self.home) as connection:
            return {node.name for node in connection.nodes() if node.online}

    def coordinator_answers(self) -> bool:
        """Tell whether the SuperLink serves."""
        address = superlink_settings(self.home).local_address
        try:
            check_coordinator(address, self.home.tls.ca_certificate)
        except UnreachableError:
            return False
        return True

    def _keep_up(self) -> None:
        ended_at: dict[str, float] = {}
        while not self._stopping.wait(0.1):
            for name, process in list(self.federation.processes.running.items()):
                if process.poll() is None or name in self._down:
                    ended_at.pop(name, None)
                elif (
                    time.monotonic() - ended_at.setdefault(name, time.monotonic()) > RESTART_AFTER_S
                ):
                    with self._restarting:
                        self.federation.processes.start(name, *self._commands[name])

    # -- campaigns -------------------------------------------------------------------------------

    def launch(self, shape: Shape | None = None) -> str:
        """Sign a new version of the study, approve it everywhere, start it; return its campaign.

        shape: another way to train at the same sites, for this version only.
        """
        self._version += 1
        study = self.federation.study_file
        study.write_bytes(canonical_bytes((shape or self.shape).study(self._version)))
        self.federation.agree()
        self.federation.launch()
        return self.store.campaigns()[-1].campaign

    def resume(self) -> bool:
        """Run `cordon study resume`, and tell whether it succeeded."""
        home = str(self.federation.coordinator)
        try:
            self.federation.run("study", "resume", STUDY, "--home", home)
        except CheckFailed:
            return False
        return True

    def state(self, campaign: str) -> CampaignState:
        """Return where a campaign stands."""
        (state,) = (each for each in self.store.campaigns() if each.campaign == campaign)
        return state

    def events(self, campaign: str, after: int = 0) -> tuple[ProgressEvent, ...]:
        """Return what happened in a campaign after an event."""
        return self.store.progress_after(campaign, after)

    def wait_for(self, campaign: str, *, phase: str, number: int, timeout_s: float = 120.0) -> None:
        """Wait until a campaign has reached a phase and has committed a number of rounds."""

        def reached() -> bool:
            state = self.state(campaign)
            return (state.phase, state.round >= number) == (phase, True)

        wait_until(reached, timeout_s, f"{phase}, round {number}")

    def wait_for_status(self, campaign: str, status: str, timeout_s: float = 180.0) -> None:
        """Wait until a campaign is stopped, or finished."""
        wait_until(lambda: self.state(campaign).status == status, timeout_s, status)


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: when it did not in time, naming it.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(0.05)


def _children(pid: int) -> Iterator[tuple[int, str]]:
    """Yield the working processes below a supervisor, with the names of their roles."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children():
            with contextlib.suppress(psutil.Error):
                line = child.cmdline()
                for role, module in _MODULES.items():
                    if module in line:
                        yield child.pid, role


def _commands(federation: Federation) -> dict[str, tuple[str, ...]]:
    commands: dict[str, tuple[str, ...]] = {}
    commands["coordinator"] = ("coordinator", "serve", str(federation.coordinator))
    for site in federation.cohorts:
        commands[f"{site}-vault"] = ("site", "vault", str(federation.site(site)))
        commands[f"{site}-gateway"] = ("site", "gateway", str(federation.site(site)))
    return commands


def _policy(root: Path) -> Path:
    path = root / "policy.yaml"
    path.write_text(_POLICY, encoding="utf-8")
    return path


def _cohorts(root: Path, shape: Shape) -> dict[str, Path]:
    """Write one table of synthetic patients per site; `first` rises with the outcome."""
    root.mkdir(parents=True, exist_ok=True)
    paths = {}
    for seed, site in enumerate(shape.sites):
        rng = np.random.default_rng(seed)
        paths[site] = root / f"{site}.csv"
        with paths[site].open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["patient_id", "first", "second", "third", "outcome"])
            for i in range(shape.patients):
                sick = int(rng.random() < 0.45)
                values = rng.normal(size=3) + np.array([1.5 * sick, 0.0, 0.0])
                writer.writerow([f"{site}{i:04d}", *(f"{v:.4f}" for v in values), sick])
    return paths
