"""What is found in real clinical tables: known faults named or stopped, honest sites left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.lines import Line
from benchmarks.qc.clinical_faults import STUDY
from benchmarks.qc.omics_faults import silent
from benchmarks.qc.releases import report_of
from cordon_client.qc.clinical.modality import CLINICAL
from cordon_client.qc.modality import SampleFiles
from cordon_client.qc.tabular import run_table_qc
from cordon_client.qc.work import Work, carry_out
from cordon_common.privacy.calibrate import resolve
from cordon_common.qc.profile import builtin_profile
from cordon_common.qc.registry import REGISTRY
from cordon_common.qc.verdict import CheckClass, Severity
from cordon_server.gate import Action, decide

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.qc.part import Options
    from cordon_client.qc.tabular import TableQc
    from cordon_common.protocol.study import Study
    from cordon_common.qc.verdict import CheckResult

    Results = tuple[CheckResult, ...]

HEART = ("cleveland", "hungarian", "switzerland", "va")
_KEY = bytes(32)
_BAD = {Severity.WARN, Severity.FAIL}
_MIN_RECORDS = 10


def lines(options: Options) -> list[Line]:
    """Count what is named, stopped and put under review, and what should not have been."""
    draws = 8 if options.quick else 200
    return [
        *_hearts(options.data / "heart_disease" / "sites", options.scratch, draws),
        *_tables(options.data / "clinical_tables", options.scratch),
        *_leaks(options.data),
    ]


# -- four hospitals, one study ------------------------------------------------------------------


def _hearts(folder: Path, scratch: Path, draws: int) -> list[Line]:
    study = resolve(STUDY)
    turned = pd.read_csv(folder / "cleveland.csv", dtype=str, keep_default_na=False)
    turned["num"] = np.where(turned["num"] == "0", "1", "0")
    turned.to_csv(scratch / "turned.csv", index=False)
    found = {site: run_table_qc(study, folder / f"{site}.csv", _KEY) for site in HEART}
    with_turned = {**found, "turned": run_table_qc(study, scratch / "turned.csv", _KEY)}
    caught, wrong = _reviewed(study, with_turned, draws)
    _, alone = _reviewed(study, found, draws)
    zeros = found["switzerland"], found["va"]
    coded = [_coded(qc, feature) for qc, feature in zip(zeros, ("chol", "trestbps"), strict=True)]
    excluded = sum(sum(qc.patient_fates.values()) - qc.patients_kept for qc in found.values())
    questions = len(HEART) * draws
    return [
        Line("heart: Swiss cholesterol zeros read as missing", coded[0], 123, better="higher", note="of 123"),
        Line("heart: Long Beach blood pressure of 0 read as missing", coded[1], 1, better="higher", note="of 1"),
        Line("heart: patients of honest hospitals left out", excluded, 0, note="of 4 hospitals"),
        Line("heart: Cleveland with its outcome turned, under review", 100 * caught / draws, 95, 100, better="higher", unit=" %", note=f"{draws} draws of noise"),
        Line("heart: honest hospitals under review beside it", wrong, 0, note=f"of {questions}"),
        Line("heart: honest hospitals under review by themselves", alone, 0, note=f"of {questions}"),
    ]  # fmt: skip


def _coded(qc: TableQc, feature: str) -> int:
    return next(stats.coded for stats in qc.features if stats.name == feature)


def _reviewed(study: Study, found: Mapping[str, TableQc], draws: int) -> tuple[int, int]:
    """Ask the gate before round 1, once per draw: (turned site, other sites) not let in."""
    caught = wrong = 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        decision = decide(study, [report_of(study, site, qc, rng) for site, qc in found.items()])
        held = {site.site for site in decision.sites if site.action is not Action.TRAIN}
        caught += "turned" in held
        wrong += len(held - {"turned"})
    return caught, wrong


# -- tables that no study asked for -------------------------------------------------------------


def _tables(folder: Path, scratch: Path) -> list[Line]:
    covid = _checked(folder / "medicaldata__covid_testing.csv")
    others = (
        "geepack__respiratory",
        "medicaldata__indo_rct",
        "medicaldata__opt",
        "survival__cancer",
    )
    stopped = sum(bool(_stops(_checked(folder / f"{name}.csv"))) for name in others)
    small, large = [], []
    for name, site in (("medicaldata__indo_rct", "site"), ("survival__cancer", "inst")):
        for _, rows in pd.read_csv(folder / f"{name}.csv").groupby(site):
            rows.to_csv(scratch / "site.csv", index=False)
            refused = "table.records" in _stops(_checked(scratch / "site.csv"))
            (small if len(rows) < _MIN_RECORDS else large).append(refused)
    return [
        Line("covid testing: names of patients block", "table.identifiers" in _stops(covid), 1, better="higher"),
        Line("other shared tables blocked", stopped, 0, note=f"of {len(others)}"),
        Line("sites of fewer than ten records refused", sum(small), len(small), better="higher", note=f"of {len(small)}"),
        Line("larger sites refused", sum(large), 0, note=f"of {len(large)}"),
    ]  # fmt: skip


def _leaks(data: Path) -> list[Line]:
    folder = data / "covid19_tongji_timeseries"
    first = _named(_checked(folder / "time_series_375_preprocess_en.csv"))
    later = _named(_checked(folder / "time_series_test_110_preprocess_en.csv"))
    planted = (
        ("table.afterwards", "Discharge time") in first,  # known only once the outcome is
        ("table.afterwards", "RE_DATE") in first,  # 28 samples taken after it
        ("column.tells-outcome", "PATIENT_ID") in first,  # survivors were listed first
        ("table.afterwards", "Discharge time") in later,
        ("table.afterwards", "RE_DATE") in later,
    )
    plain = [_named(_checked(data / "heart_disease" / "sites" / f"{site}.csv")) for site in HEART]
    wrong = sum(
        check in {"table.afterwards", "column.tells-outcome"}
        for named in plain
        for check, _ in named
    )
    return [
        Line("covid19 Tongji: leaks found", sum(planted), len(planted), better="higher", note=f"of {len(planted)}"),
        Line("leaks found where there are none", wrong, 0, note="4 hospitals × 14 columns"),
    ]  # fmt: skip


def _checked(path: Path) -> Results:
    """Check a file as `cordon site qc` does without a study."""
    work = Work(CLINICAL, (SampleFiles(path.name, (path,)),), builtin_profile("clinical.v1"))
    (found,) = carry_out(work, silent)
    return found.results


def _stops(results: Results) -> set[str]:
    return {
        r.check
        for r in results
        if r.severity is Severity.FAIL and REGISTRY[r.check].check_class is CheckClass.LOCAL_HARD
    }


def _named(results: Results) -> set[tuple[str, str | None]]:
    return {(r.check, r.subject) for r in results if r.severity in _BAD}
