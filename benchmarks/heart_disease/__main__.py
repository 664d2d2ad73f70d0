"""Accuracy and AUC on real hospitals at several privacy budgets, by the real kernel.

python -m benchmarks.heart_disease [--only heart,colorectal] [--trust local,secure-sum]
                                   [--repeats 20] [--splits 10] [--json FILE] [--svg FILE]

Heart disease: four hospitals of the UCI set, FLamby's train and test rows (Ogier du Terrail et al.
2022), mean accuracy over the sites and pooled AUC. Colorectal cancer: five cohorts of stool
metagenomes, AUC on the cohort that was left out, mean over the five.
ε is the whole study's per site (quality control, training and evaluation together), counted by
steps, by the study's own calibration. Under secure-sum the coordinator may collude with one
hospital, so that the others' shares alone make up the noise. Hyper-parameters are those of the
studies in configs/; no test row had a say.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

import torch

from benchmarks.heart_disease import colorectal, hearts
from benchmarks.heart_disease.budgets import Repeats
from benchmarks.heart_disease.plot import figure
from benchmarks.lines import finish
from cordon_common.protocol.study import TrustModel

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TABLES = {"heart": hearts.measure, "colorectal": colorectal.measure}


def main() -> int:
    """Print the table; 0 only if every must is reached."""
    options = _arguments()
    torch.set_num_threads(1)
    repeats = Repeats(options.repeats, options.splits, options.trust)
    lines = []
    for name in options.only:
        print(f"measuring {name} …", file=sys.stderr)
        lines += TABLES[name](options.data, repeats)
    if options.svg:
        options.svg.write_text(figure(lines), encoding="utf-8")
    return finish(lines, options.json, ("torch",))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds both data sets")
    parser.add_argument("--only", default=",".join(TABLES), help="some of heart,colorectal")
    parser.add_argument("--trust", default=",".join(get_args(TrustModel)))
    parser.add_argument("--repeats", type=int, default=20, help="noise seeds")
    parser.add_argument("--splits", type=int, default=10, help="other random splits (heart)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path, help="where to draw AUC by epsilon")
    options = parser.parse_args()
    options.only = _chosen(parser, "--only", options.only, list(TABLES))
    options.trust = _chosen(parser, "--trust", options.trust, list(get_args(TrustModel)))
    return options


def _chosen(
    parser: argparse.ArgumentParser, option: str, text: str, known: list[str]
) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"{option}: no {', '.join(unknown)}; there are {', '.join(known)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
