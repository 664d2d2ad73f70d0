"""What a study can choose without looking at data, and what it changes: for docs/utility.md.

python -m benchmarks.heart_disease.recipes [--data DIR] [--repeats 3] [--json FILE]

Trains the colorectal study with other public choices of inputs at several budgets and prints the
mean AUC on cohorts left out. Reports; nothing here must be reached.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks.heart_disease.__main__ import DATA
from benchmarks.heart_disease.budgets import Budget
from benchmarks.heart_disease.colorectal import STUDY, left_out, load_cohorts
from cordon_common.protocol.parse import load_study

if TYPE_CHECKING:
    from cordon_common.protocol.study import Study, TrustModel

EPSILONS = (8.0, 4.0, 2.0)
TRUST: tuple[TrustModel, ...] = ("local", "secure-sum")
RECIPES = {
    "genera, detection": ("g__", "detection"),
    "species and genera, detection": ("", "detection"),
    "species, presence": ("s__", "presence"),
}


def main() -> int:
    """Print one row per recipe and trust model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = load_study(STUDY)
    print(f"{'recipe':<32}{'trust':<12}{'no noise':>9}", end="")
    print("".join(f"{f'ε={epsilon:g}':>9}" for epsilon in EPSILONS))
    found = {}
    for name, (prefix, scale) in RECIPES.items():
        study = with_inputs(base, prefix, scale)
        cohorts = load_cohorts(options.data / "crc_metagenome" / "sites", study)
        clean = _mean(left_out(study, cohorts, Budget(None, "local"), 1))
        for trust in TRUST:
            row = [
                _mean(left_out(study, cohorts, Budget(epsilon, trust), options.repeats))
                for epsilon in EPSILONS
            ]
            found[f"{name}, {trust}"] = [clean, *row]
            print(
                f"{name:<32}{trust:<12}{clean:>9.3f}",
                "".join(f"{auc:>9.3f}" for auc in row),
                sep="",
            )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


def with_inputs(study: Study, prefix: str, scale: str) -> Study:
    """Return the study with the features of a prefix alone, all seen on one scale."""
    value = study.as_json()
    value["cohort"]["features"] = [
        feature | {"scale": scale, "expected": 0.2 if scale == "presence" else feature["expected"]}
        for feature in value["cohort"]["features"]
        if feature["name"].startswith(prefix)
    ]
    return type(study).model_validate(value, strict=False)


def _mean(found: dict[str, list[float]]) -> float:
    return float(np.mean(list(found.values())))


if __name__ == "__main__":
    sys.exit(main())
