"""Privacy claims of published recipes, accounted again: what was promised, what the recipe costs.

python -m benchmarks.claims [--json FILE]

Every recipe is stated as mechanisms: noise multiplier, sampling rate, steps that are executed. Each
is accounted twice: by privacy loss distributions (the headline of a Cordon ledger) and by Rényi
divergences; where the recipe calibrates its noise, that is done with the library that it uses.
"Reconstructed" says which numbers a publication or its code does not state.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from benchmarks.lines import Line, finish
from cordon_common.privacy.accounting import pld_of, rdp_of

HEART_PATIENTS = {"Cleveland": 199, "Hungary": 172, "Switzerland": 30, "Long Beach": 85}
HEART_BATCH = 4
HEART_UPDATES = 100
HEART_ROUNDS = (486 // 4 // HEART_BATCH) * 50 // HEART_UPDATES
HEART_EPSILON, HEART_DELTA = 1.0, 1e-4


@dataclass(frozen=True)
class Account:
    """What a patient paid, by both accountants, at one δ."""

    pld: float
    rdp: float
    delta: float


@dataclass(frozen=True)
class Claim:
    """One published claim beside what its recipe costs.

    claimed: the ε that is promised. expected: the cost by the recipe's own kind of accountant, as
    found by an independent reading of the recipe. by: that accountant ("rdp" or "pld").
    """

    name: str
    claimed: float
    true: Account
    expected: float
    by: str
    why: str
    source: str
    reconstructed: str = ""

    @property
    def recomputed(self) -> float:
        """The true cost by the accountant that `expected` was computed with."""
        return self.true.rdp if self.by == "rdp" else self.true.pld


def account(noise_multiplier: float, rate: float, steps: int, delta: float) -> Account:
    """Return ε of Poisson-sampled Gaussian steps, each with its own noise, by both accountants."""
    tally = (((noise_multiplier, rate), steps),)
    return Account(pld_of(tally, delta), rdp_of(tally, delta), delta)


def heart_disease() -> list[Claim]:
    """FLamby: noise for as many epochs as there are rounds, although a round is 100 batches."""
    claims = []
    expected = {"Cleveland": 1.45, "Hungary": 1.57, "Switzerland": 4.1, "Long Beach": 2.3}
    for hospital, patients in HEART_PATIENTS.items():
        batches = math.ceil(patients / HEART_BATCH)
        rate = 1 / batches
        noise = _opacus_noise(rate, epochs=HEART_ROUNDS)
        true = account(noise, rate, HEART_ROUNDS * HEART_UPDATES, HEART_DELTA)
        claims.append(
            Claim(
                f"FLamby Fed-Heart-Disease, {hospital}",
                HEART_EPSILON,
                true,
                expected[hospital],
                "rdp",
                f"noise for {HEART_ROUNDS} epochs of {batches} batches, executed are "
                f"{HEART_ROUNDS * HEART_UPDATES}",
                "FLamby (Ogier du Terrail et al. 2022): flamby/strategies/utils.py, "
                "flamby/datasets/fed_heart_disease/common.py",
                "Opacus's accountant is the Rényi one, its default at that time",
            )
        )
    return claims


def opacus_example() -> Claim:
    """Flower's example: every round makes a new accountant, which starts from nothing."""
    rate, steps, rounds, delta = 0.08, 13, 20, 1e-5
    return Claim(
        "Flower Opacus example, 20 rounds",
        account(1.0, rate, steps, delta).rdp,
        account(1.0, rate, rounds * steps, delta),
        9.9,
        "rdp",
        f"the ε that is shown is of one round ({steps} steps), not of {rounds}",
        "Flower: examples/opacus, client_app.py (PrivacyEngine made anew in every fit)",
        "13 steps of rate 0.08 a round, and the number of rounds",
    )


def client_sampling() -> Claim:
    """FL4Health's instance-level accountant: who is sampled is known to the coordinator."""
    patients, batch, rounds, client_rate, delta = 1000, 64, 50, 0.1, 1e-5
    steps, rate, known = math.ceil(patients / batch), batch / patients, 5
    return Claim(
        "instance-level DP with client sampling, 5 of 50 rounds",
        account(1.0, client_rate * rate, rounds * steps, delta).rdp,
        account(1.0, rate, known * steps, delta),
        4.67,
        "rdp",
        "amplification by client sampling is claimed against the coordinator, who does the sampling",
        "FL4Health: fl4health/privacy/fl_accountants.py, FlInstanceLevelAccountant",
        "1000 records, batches of 64, one epoch a round, noise multiplier 1, δ = 1e-5",
    )


def all_claims() -> list[Claim]:
    """Return every claim, accounted again."""
    return [*heart_disease(), opacus_example(), client_sampling()]


def claim_lines(claims: list[Claim]) -> list[Line]:
    """Judge that the independent numbers are found again, and that both accountants agree."""
    lines = []
    for claim in claims:
        off = abs(claim.recomputed / claim.expected - 1)
        note = f"claimed {claim.claimed:.3g}, true {claim.recomputed:.3g} ({claim.by})"
        lines.append(Line(f"{claim.name}: off the known ε", 100 * off, 2, 1, unit=" %", note=note))
    worst = min(claim.true.rdp / claim.true.pld for claim in claims)
    lines.append(Line("Rényi ÷ privacy loss distributions, smallest", worst, 1, better="higher"))
    return lines


def _opacus_noise(rate: float, *, epochs: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from opacus.accountants.utils import get_noise_multiplier

        return float(
            get_noise_multiplier(
                target_epsilon=HEART_EPSILON,
                target_delta=HEART_DELTA,
                sample_rate=rate,
                epochs=epochs,
                accountant="rdp",
            )
        )


def _show(claims: list[Claim]) -> None:
    print(f"{'recipe':<56}{'claimed':>9}{'true PLD':>10}{'true RDP':>10}{'ratio':>7}{'δ':>8}")
    for claim in claims:
        ratio = claim.recomputed / claim.claimed
        print(
            f"{claim.name:<56}{claim.claimed:>9.3f}{claim.true.pld:>10.3f}{claim.true.rdp:>10.3f}"
            f"{ratio:>7.2f}{claim.true.delta:>8.0e}"
        )
    print()
    for claim in claims:
        print(f"{claim.name}: {claim.why}\n  source: {claim.source}")
        if claim.reconstructed:
            print(f"  reconstructed: {claim.reconstructed}")
    print()


def main() -> int:
    """Print claimed, true and ratio of every claim; 0 only if the known numbers are found again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    claims = all_claims()
    _show(claims)
    return finish(claim_lines(claims), options.json, ("dp-accounting", "opacus"))


if __name__ == "__main__":
    sys.exit(main())
