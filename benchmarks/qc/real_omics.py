"""What is found in real omics data: known faults named, honest sites left alone."""

from __future__ import annotations

import csv
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.lines import Line
from benchmarks.qc.omics_faults import silent
from cordon_client.qc.finding import excludes
from cordon_client.qc.images import modality as images
from cordon_client.qc.metagenomics import modality as taxa
from cordon_client.qc.metagenomics.tables import read_table
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.proteomics import modality as proteins
from cordon_client.qc.proteomics.read import protein_runs
from cordon_common.errors import DataError
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.verdict import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.qc.part import Options
    from cordon_client.qc.modality import CheckFile, CohortQc, Modality, SampleQc

    Judged = tuple[Sequence[SampleQc], CohortQc]

_SHALLOW, _ENTANGLED = "usa_canada_hannigan2017", "france_germany_zeller2014"
_BAD = {Severity.WARN, Severity.FAIL}


def lines(options: Options) -> list[Line]:
    """Count detections, and alarms where nothing is wrong."""
    return [
        *_colorectal(options.data),
        *_coli(options.data),
        *_biom(options.data),
        _x_rays(options.data),
    ]


def _check_file(modality: Modality) -> CheckFile:
    if modality.check_file is None:
        raise ValueError(modality.name)
    return modality.check_file


def _judge(modality: Modality, samples: Sequence[SampleFiles]) -> Judged:
    profile = builtin_profile(f"{modality.name}.v1")
    checked = [
        qc
        for _, group in itertools.groupby(samples, key=lambda s: s.files)
        for qc in _check_file(modality)(tuple(group), profile, silent)
    ]
    return checked, modality.check_cohort(samples, checked, profile)


def _named(judged: Judged, check: str, subject: str | None = None) -> bool:
    return any(
        r.check == check and r.severity in _BAD and (subject is None or r.subject == subject)
        for r in judged[1].results
    )


def _colorectal(data: Path) -> list[Line]:
    folder = data / "crc_metagenome" / "sites"
    sites = {path.name: _site(path) for path in sorted(folder.iterdir())}
    judged = {name: _judge(taxa.MODALITY, samples) for name, samples in sites.items()}
    shallow = {name for name, each in judged.items() if _named(each, "taxa.shallow-samples")}
    entangled = {
        name for name, each in judged.items() if _named(each, "batch.confounded", "country")
    }
    missed = wrong = 0
    for name, samples in sites.items():
        table = read_table(samples[0].files[0])
        totals = dict(zip(table.samples, np.nansum(table.values, axis=0).tolist(), strict=True))
        for sample, qc in zip(samples, judged[name][0], strict=True):
            open_row = abs(totals[str(sample.inside)] - 1) > 0.05
            flagged = any(r.check == "taxa.closure" and r.severity in _BAD for r in qc.results)
            missed += open_row and not flagged
            wrong += flagged and not open_row
    excluded = sum(excludes(qc.results) for checked, _ in judged.values() for qc in checked)
    return [
        Line("colorectal: shallow site named", float(_SHALLOW in shallow), 1, better="higher"),
        Line("colorectal: deep sites called shallow", len(shallow - {_SHALLOW}), 0, note="of 4"),
        Line("colorectal: unclosed rows missed or made up", missed + wrong, 0, note="551 samples"),
        Line("colorectal: country × outcome named", float(_ENTANGLED in entangled), 1, better="higher"),
        Line("colorectal: samples excluded", excluded, 0, note="of 551"),
    ]  # fmt: skip


def _site(folder: Path) -> tuple[SampleFiles, ...]:
    path = folder / "species_abundance.csv"
    with (folder / "metadata.csv").open(newline="", encoding="utf-8") as file:
        facts = {row["sample_id"]: row for row in csv.DictReader(file)}
    return tuple(
        replace(
            sample,
            label=int(facts[str(sample.inside)]["study_condition"] == "CRC"),
            batches={"country": facts[str(sample.inside)]["country"]},
        )
        for sample in taxa.group([path])
    )


def _coli(data: Path) -> list[Line]:
    labs = {letter: _lab(data, letter) for letter in "ABCDE"}
    alone = {letter: _judge(proteins.MODALITY, samples) for letter, samples in labs.items()}
    alarms = sum(
        _named(each, check)
        for each in alone.values()
        for check in ("prot.missing-by-label", "prot.missing-not-at-random", "prot.pools")
    )
    together = _judge(proteins.MODALITY, [s for samples in labs.values() for s in samples])
    return [
        Line("E. coli: laboratory found as a batch", float(_named(together, "batch.variance", "lab")), 1, better="higher"),
        Line("E. coli: laboratory told by a classifier", float(_named(together, "batch.classifier", "lab")), 1, better="higher"),
        Line("E. coli: laboratory called confounded", float(_named(together, "batch.confounded", "lab")), 0),
        Line("E. coli: alarms of single laboratories", alarms, 0, note="of 15 questions"),
    ]  # fmt: skip


def _lab(data: Path, letter: str) -> tuple[SampleFiles, ...]:
    folder = data / "proteomics_ecoli_5labs" / f"lab_{letter}"
    path = folder / "intensities_log_UNION.tsv"
    with (folder / "design.tsv").open(newline="", encoding="utf-8") as file:
        label = {row["file"]: int(row["Pyr"]) for row in csv.DictReader(file, delimiter="\t")}
    return tuple(
        SampleFiles(
            f"{letter}/{run}", (path,), label=label[run], batches={"lab": letter}, inside=run
        )
        for run in protein_runs(path)
    )


def _biom(data: Path) -> list[Line]:
    files = sorted(
        p for p in (data / "biom_tables").rglob("*") if p.is_file() and p.suffix != ".md"
    )
    read = refused = 0
    for path in files:
        try:
            read += bool(read_table(path).samples)
        except DataError:
            refused += path.name in {"empty.biom", "no-contents.biom"}
    return [
        Line("BIOM: valid tables read", read, len(files) - 2, better="higher", note=f"of {len(files) - 2}"),
        Line("BIOM: broken tables refused by code", refused, 2, better="higher", note="of 2"),
    ]  # fmt: skip


def _x_rays(data: Path) -> Line:
    (sample,) = images.group([data / "chestxray_pneumoniamnist" / "pneumoniamnist.npz"])
    profile = builtin_profile(f"{images.MODALITY.name}.v1")
    found = images.check_sample(sample, profile, silent)
    copies = next(r.value for r in found.results if r.check == "image.across-splits")
    return Line("X-rays: copies across splits found", float(copies or 0), 1, better="higher")
