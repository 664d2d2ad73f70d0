"""Kills processes of a running federation at random, and counts what that cost the ledgers.

python -m benchmarks.chaos [--kills 20] [--per-campaign 5] [--bursts 0.2] [--seed N] [--json FILE]
                           [--keep DIR]

Real processes on loopback, real studies on synthetic patients. SIGKILL hits a vault, a gateway's
supervisor or its node, the SuperLink, the ServerApp's process or the coordinator, at any moment of
a campaign; a share of the kills (bursts) does not wait until the campaign has gone a step further
since the last one. What an init system restarts is restarted after half a second, and a campaign that
nobody carries any more is resumed as a person would, with `cordon study resume`.

A charge error is a release charged that an undisturbed campaign does not charge, or the other way
round; at most one reserved round per kill is allowed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.consortium import Consortium
from benchmarks.reckoning import Witness, broken_links, charges_of, missing_receipts
from cordon_common.clock import timestamp, utc_now
from cordon_server.runs import run_has_ended

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from benchmarks.reckoning import Charges, Slots
    from cordon_common.canonical import Json
    from cordon_server.demo.federation import Federation

KINDS = ("vault", "gateway", "node", "superlink", "serverapp", "coordinator")
PAUSE_MAX_S = 2.5
BURST_MAX_S = 1.5
RESUME_EVERY_S = 1.0
QUIET_S = 20.0
STUCK_S = 240.0
_STEPS = {"round.finished", "phase.finished", "campaign.finished"}
_ENDS_RUN = {"serverapp", "coordinator"}


@dataclass(frozen=True)
class Violence:
    """How hard a campaign is hit; bursts: share of kills that do not wait for the next step."""

    per_campaign: int = 5
    bursts: float = 0.2


@dataclass
class Kill:
    """One SIGKILL. next_step_s: until the campaign committed its next round or phase, if any."""

    process: str
    phase: str
    round: int
    at: str
    since_start_s: float
    outcome: str = "went on"
    next_step_s: float | None = None

    @property
    def moment(self) -> str:
        """Where the campaign stood."""
        return f"{self.phase} round {self.round + 1}" if self.phase == "train" else self.phase


@dataclass
class Trial:
    """One campaign that was disturbed, and what it was charged in the end."""

    campaign: str
    kills: list[Kill] = field(default_factory=list)
    resumes: int = 0
    seconds: float = 0.0
    charges: list[Charges] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """One thing that must hold: what was found, and whether that is good enough."""

    what: str
    found: str
    must: str
    reached: bool


class Victims:
    """Draws processes to kill, like cards: every kind has its turn, in random order."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._kinds: list[str] = []

    def draw(self, running: Collection[str]) -> str | None:
        """Return the name of a process that runs; None when those of the next kind are all down."""
        if not self._kinds:
            self._kinds = [str(kind) for kind in self.rng.permutation(KINDS)]
        names = sorted(name for name in running if name.endswith(self._kinds[-1]))
        if not names:
            return None
        self._kinds.pop()
        return names[self.rng.integers(len(names))]


class Disturber:
    """Carries one campaign to its end while killing processes, and resumes it when needed."""

    def __init__(
        self,
        consortium: Consortium,
        witness: Witness,
        victims: Victims,
        kills: int,
        bursts: float = 0.0,
    ) -> None:
        self._consortium = consortium
        self._witness = witness
        self._victims = victims
        self._rng = victims.rng
        self._kills_left = kills
        self._bursts = bursts
        self._started_s = time.monotonic()
        self.trial = Trial(consortium.launch())
        self._seen = 0
        self._news_s = time.monotonic()
        self._next_kill_s = time.monotonic() + self._rng.uniform(0, PAUSE_MAX_S)
        self._waits_for_step = False
        self._must_resume = False
        self._resumed_s = 0.0

    def run(self) -> Trial:
        """Return the finished trial.

        Raises:
            TimeoutError: when the campaign makes no step for minutes.
        """
        while not self._finished():
            self._look()
            if self._kills_left and self._is_time():
                self._kill()
            self._resume_if_needed()
            if time.monotonic() - self._news_s > STUCK_S:
                raise TimeoutError(f"stuck: {self._state} after {self.trial.kills[-1:]}")
            time.sleep(0.05)
        self._look()
        self.trial.seconds = time.monotonic() - self._started_s
        return self.trial

    def _finished(self) -> bool:
        self._state = self._consortium.state(self.trial.campaign)
        return self._state.status == "finished"

    def _look(self) -> None:
        for event in self._consortium.events(self.trial.campaign, self._seen):
            self._seen, self._news_s = event.seq, time.monotonic()
            if event.event in _STEPS:
                self._note_step(event.at)
            elif event.event == "campaign.stopped":
                self._must_resume = True
                self._outcome(f"stopped ({event.code})")
            elif event.event == "site.failed":
                self._outcome(f"{event.site} {event.code}")

    def _note_step(self, at: str) -> None:
        for kill in self.trial.kills:
            if kill.next_step_s is None and at > kill.at:
                kill.next_step_s = _seconds_between(kill.at, at)
        if self._waits_for_step and self.trial.kills[-1].at < at:
            self._waits_for_step = False
            self._next_kill_s = time.monotonic() + self._rng.uniform(0, PAUSE_MAX_S)

    def _outcome(self, text: str) -> None:
        for kill in self.trial.kills:
            if kill.next_step_s is None and text not in kill.outcome:
                kill.outcome = text if kill.outcome == "went on" else f"{kill.outcome}, {text}"

    def _is_time(self) -> bool:
        return not self._waits_for_step and time.monotonic() >= self._next_kill_s

    def _kill(self) -> None:
        self._witness.look()
        name = self._victims.draw(self._consortium.processes())
        if name is None:  # it is being started again: a moment later
            self._next_kill_s = time.monotonic() + self._rng.uniform(0, BURST_MAX_S)
            return
        state = self._consortium.state(self.trial.campaign)
        at = timestamp(utc_now())
        self._consortium.kill(name)
        since_start_s = time.monotonic() - self._started_s
        self.trial.kills.append(Kill(name, state.phase, state.round, at, since_start_s))
        self._kills_left -= 1
        self._must_resume |= name in _ENDS_RUN
        burst = self._rng.random() < self._bursts
        self._waits_for_step = not burst
        self._next_kill_s = time.monotonic() + self._rng.uniform(0, BURST_MAX_S)

    def _resume_if_needed(self) -> None:
        if time.monotonic() - max(self._news_s, self._resumed_s) > QUIET_S:
            self._must_resume |= self._is_abandoned()
        if not self._must_resume or time.monotonic() - self._resumed_s < RESUME_EVERY_S:
            return
        if self._consortium.state(self.trial.campaign).status == "finished":
            return
        if self._consortium.resume():
            self._must_resume = False
            self.trial.resumes += 1
            self._outcome("resumed")
        self._resumed_s = time.monotonic()

    def _is_abandoned(self) -> bool:
        home = self._consortium.home
        run = self._consortium.state(self.trial.campaign).flower_run
        return self._consortium.coordinator_answers() and run_has_ended(home, run)


def kill_at_random(
    folder: Path, *, kills: int, seed: int, violence: Violence = Violence()
) -> tuple[list[Trial], list[Line]]:
    """Run campaigns until so many processes were killed; return them and what must hold."""
    victims = Victims(np.random.default_rng(seed))
    with Consortium(folder) as consortium:
        federation = consortium.federation
        witness = Witness.of(federation)
        undisturbed = Disturber(consortium, witness, victims, kills=0).run()
        undisturbed.charges = charges_of(federation, undisturbed.campaign)
        print(_HEAD, flush=True)
        trials: list[Trial] = []
        while (left := kills - sum(len(trial.kills) for trial in trials)) > 0:
            now = min(left, violence.per_campaign)
            trial = Disturber(consortium, witness, victims, now, violence.bursts).run()
            trial.charges = charges_of(federation, trial.campaign)
            _show(trial, undisturbed)
            trials.append(trial)
        witness.look()
        federation.export()
        lines = [
            *_charge_lines(undisturbed, trials, consortium.shape.rounds),
            _none("ledger and log entries lost", witness.lost, witness.entries),
            _none("receipts that the site's ledger lacks", *missing_receipts(federation)),
            _none(
                "broken links from the first weights to the model file", *_links(federation, trials)
            ),
            _audit_line(federation.verify()),
        ]
    return trials, lines


def _seconds_between(early: str, late: str) -> float:
    return (datetime.fromisoformat(late) - datetime.fromisoformat(early)).total_seconds()


def expected_slots(rounds: int) -> Slots:
    """Return what one site is charged in an undisturbed campaign, from the study alone."""
    return Counter(["qc|0", *(f"train|{number}" for number in range(rounds)), "evaluate|0"])


def charge_error(trial: Trial, undisturbed: Trial) -> int:
    """Count a campaign's charges, over all sites, that differ from an undisturbed campaign's."""
    expected = {charges.site: charges.slots for charges in undisturbed.charges}
    return sum(charges.error(expected[charges.site]) for charges in trial.charges)


def _charge_lines(undisturbed: Trial, trials: Sequence[Trial], rounds: int) -> list[Line]:
    """Judge the charges; the undisturbed campaign itself must fit the study's schedule."""
    schedule = expected_slots(rounds)
    off_schedule = sum(charges.error(schedule) for charges in undisturbed.charges)
    everything = [charges for trial in trials for charges in trial.charges]
    errors = [charge_error(trial, undisturbed) for trial in trials]
    kills = sum(len(trial.kills) for trial in trials)
    within = all(error <= len(trial.kills) for error, trial in zip(errors, trials, strict=True))
    return [
        _none(
            "charges of the undisturbed campaign off its schedule", off_schedule, schedule.total()
        ),
        _none("releases charged twice", sum(c.doubled for c in everything), _total(trials)),
        _none(
            "reservations that were never answered",
            sum(c.unsettled for c in everything),
            _total(trials),
        ),
        Line("charge error, all kills together", str(sum(errors)), f"at most {kills}", within),
    ]


def _total(trials: Sequence[Trial]) -> int:
    return sum(charges.total for trial in trials for charges in trial.charges)


def _links(federation: Federation, trials: Sequence[Trial]) -> tuple[int, int]:
    return broken_links(federation, [trial.campaign for trial in trials])


def _none(what: str, found: int, of: int) -> Line:
    """Judge something that must not be there, among so many places where it could be."""
    return Line(what, f"{found} of {of}", "0", found == 0 and of > 0)


def _audit_line(audit: Json) -> Line:
    rows = [row for part in audit["parts"] for row in part["rows"]]
    passed = sum(row["status"] == "PASS" for row in rows)
    found = f"{audit['verdict']}, {passed} of {len(rows)} checks"
    return Line("all bundles verify, alone and together", found, "PASS", audit["verdict"] == "PASS")


_HEAD = (
    f"{'process':<12} {'moment':<14} {'after launch':>12} {'charges':>9} {'next step':>10}  outcome"
)


def _show(trial: Trial, undisturbed: Trial) -> None:
    found = sum(charges.total for charges in trial.charges)
    expected = sum(charges.total for charges in undisturbed.charges)
    for kill in trial.kills:
        wait = "-" if kill.next_step_s is None else f"{kill.next_step_s:.1f} s"
        print(
            f"{kill.process:<12} {kill.moment:<14} {kill.since_start_s:>10.1f} s "
            f"{found:>4}/{expected:<4} {wait:>10}  {kill.outcome}",
            flush=True,
        )


def _show_waits(trials: Sequence[Trial]) -> None:
    """Print, per kind of process, how long the campaigns waited for their next step."""
    print()
    for kind in KINDS:
        waits = [
            kill.next_step_s
            for trial in trials
            for kill in trial.kills
            if kill.process.endswith(kind) and kill.next_step_s is not None
        ]
        if waits:
            print(
                f"{kind:<12} {len(waits):>3} kills, next step after {np.median(waits):>5.1f} s "
                f"(median), {max(waits):.1f} s at most"
            )


def main() -> int:
    """Print a row per kill and what must hold; 0 only if all of it does."""
    options = _arguments()
    print(f"{options.kills} kills, seed {options.seed}", flush=True)
    started_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = options.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="kills-"))
        violence = Violence(options.per_campaign, options.bursts)
        trials, lines = kill_at_random(
            Path(folder), kills=options.kills, seed=options.seed, violence=violence
        )
    _show_waits(trials)
    print(f"{len(trials)} campaigns, {time.monotonic() - started_s:.0f} s in all")
    for line in lines:
        print(f"{line.what:<58} {line.found:>22}   must: {line.must}")
    if options.json:
        value = {
            "seed": options.seed,
            "kills": [asdict(kill) for trial in trials for kill in trial.kills],
            "lines": [asdict(line) for line in lines],
        }
        options.json.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    reached = sum(line.reached for line in lines)
    print(f"{reached} of {len(lines)} lines reached")
    return 0 if reached == len(lines) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--per-campaign", type=int, default=Violence.per_campaign)
    parser.add_argument("--bursts", type=float, default=Violence.bursts, help="a share, 0 to 1")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", type=Path, help="run in this new folder and leave it, with logs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
