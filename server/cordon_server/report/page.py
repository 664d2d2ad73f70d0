"""From what is true to what is shown: every sentence and number of the report as text."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist, median
from typing import TYPE_CHECKING

from cordon_common.errors import error_for
from cordon_common.protocol.study import assumption
from cordon_common.qc.fates import RECORD_FATE_TEXT
from cordon_common.signing import PublicKey
from cordon_server.optimizer import first_tail_round
from cordon_server.report import charts

if TYPE_CHECKING:
    from markupsafe import Markup

    from cordon_common.qc.summary import Estimate
    from cordon_server.journal import RoundRecord
    from cordon_server.report.model import ReportModel
    from cordon_server.report.sites import Evaluated, SiteFacts

Z95 = 1.959964
Texts = tuple[str, ...]
_STATUS = {
    "finished": ("finished", "good", "The campaign has finished; the model is final."),
    "running": ("in progress", "warn", "The campaign is still running; everything may change."),
    "ready": ("not started", "warn", "The campaign was not started yet."),
}
_OUTCOME_KIND = {"trained": "good", "admitted": "good", "enrolled": "warn", "waiting": "warn"}


@dataclass(frozen=True)
class Tile:
    """A key number."""

    name: str
    value: str
    note: str


def tiles(model: ReportModel) -> tuple[Tile, ...]:
    """Pick the four numbers that a reader wants first."""
    trained = [site for site in model.sites if site.rounds]
    together = model.together
    auc = Tile("AUC over all hospitals", "not yet", "no evaluation so far")
    if together is not None:
        auc = Tile("AUC over all hospitals", auc_text(together), interval_text(together))
    elif is_dominated(model):
        auc = Tile("AUC over all hospitals", "not shown", "it is nearly one hospital's alone")
    return (
        Tile(
            "Hospitals that trained",
            f"{len(trained)} of {len(model.sites)}",
            f"at least {model.study.qc.gate.min_sites} were required",
        ),
        Tile(
            "Privacy spent, at most",
            f"ε {model.privacy.epsilon:.2f}",
            f"of {model.privacy.promised:g} promised, δ {model.privacy.delta:g}",
        ),
        auc,
        Tile(
            "Rounds",
            f"{len(model.rounds)} of {model.study.training.rounds}",
            _pace(model.rounds),
        ),
    )


def status(model: ReportModel) -> tuple[str, str, str]:
    """Return the status in a word, its colour and a sentence."""
    if model.status in _STATUS:
        return _STATUS[model.status]
    info = error_for(model.code)
    sentence = f"The campaign stopped with {model.code}: {info.what}. What helps: {info.fix}."
    return "stopped", "bad", sentence


def fact_rows(model: ReportModel) -> tuple[tuple[str, str], ...]:
    """List the rows of the privacy label below the headline."""
    privacy = model.privacy
    return (
        ("cross-check with another accountant (RDP)", f"{privacy.epsilon_rdp:.3f}"),
        ("δ (chance that the bound does not hold)", f"{privacy.delta:g}"),
        ("who is protected (unit)", "one patient with all records"),
        ("neighbouring data sets", "one patient added or removed"),
        ("trust model", _trust(model)),
        ("assumed of the others", assumption(model.study)),
        *_alone(model),
        ("noise", "Gaussian, on integers, from a cryptographic generator"),
        ("counted", "quality control, training and evaluation"),
        ("patients whose fate one patient can change in QC", str(privacy.stability)),
    )


def _trust(model: ReportModel) -> str:
    if model.study.privacy.trust_model == "local":
        return "local: each hospital adds the whole noise itself"
    return "secure sum: hospitals add shares of the noise; the coordinator sees masked sums only"


def _alone(model: ReportModel) -> tuple[tuple[str, str], ...]:
    if model.study.privacy.trust_model == "local":
        return ()
    return (("ε of the same releases if that does not hold", f"{model.privacy.epsilon_local:.2f}"),)


@dataclass(frozen=True)
class HospitalRow:
    """One line of the table of hospitals."""

    site: str
    key: str
    outcome: str
    kind: str
    rounds: str
    patients: str
    kept: str
    excluded: Texts
    local_excluded: Texts
    epsilon: str
    epsilon_rdp: str
    gauge: Markup
    auc: str
    auc_interval: str
    alone: str
    alone_interval: str


def hospital_row(site: SiteFacts, model: ReportModel) -> HospitalRow:
    """Write a hospital's line."""
    promised, rounds = model.privacy.promised, len(model.rounds)
    local = site.local
    alone = local.alone_auc if local else None
    alone_span = ""
    if local and local.alone_low is not None and local.alone_high is not None:
        alone_span = f"{local.alone_low:.3f} to {local.alone_high:.3f}"
    told = []
    if local and local.records is not None:
        kept = f", {local.kept} kept" if local.kept is not None else ""
        told.append(f"told by the hospital: {local.records} records{kept}")
    told += [
        f"{count} × {_fate_text(reason)}"
        for reason, count in sorted((local.excluded if local else {}).items())
    ]
    shown = site.evaluated
    return HospitalRow(
        site=site.site,
        key=PublicKey.parse(site.key).fingerprint,
        outcome=site.outcome,
        kind=_OUTCOME_KIND.get(site.outcome, "bad"),
        rounds=f"{site.rounds} of {rounds} rounds",
        patients=_patients(site, model.study.qc.disclosure.min_cell),
        kept=f"{plus_minus(site.kept)} used" if site.kept else _unsaid(site),
        excluded=_excluded(site, clear_of_noise(len(model.sites) * len(site.excluded))),
        local_excluded=tuple(told),
        epsilon=f"{site.epsilon:.3f}",
        epsilon_rdp=f"RDP {site.epsilon_rdp:.3f}",
        gauge=charts.budget_bar(
            site.epsilon, promised, f"{site.epsilon:.3f} of {promised:g} spent"
        ),
        auc=auc_text(shown) if shown else "-",
        auc_interval=interval_text(shown) if shown else "",
        alone=f"{alone:.3f}" if alone is not None else "-",
        alone_interval=alone_span,
    )


def _fate_text(reason: str) -> str:
    known = {fate.value: words for fate, words in RECORD_FATE_TEXT.items()}
    return known.get(reason, reason)


def _patients(site: SiteFacts, min_cell: int) -> str:
    return (
        f"below {min_cell}" if site.summarised and not site.patients else plus_minus(site.patients)
    )


def _unsaid(site: SiteFacts) -> str:
    return "used: suppressed" if site.patients else ""


def _excluded(site: SiteFacts, clear: float) -> Texts:
    if not site.summarised:
        return ("no summary",)
    shown = tuple(
        f"{estimate.value:.0f} ± {Z95 * estimate.std:.0f}: {reason}"
        for reason, estimate in site.excluded
        if estimate is not None and estimate.value > clear * estimate.std
    )
    return shown or ("no reason beyond what noise and suppression hide",)


def plus_minus(estimate: Estimate | None) -> str:
    """Write a noised number of patients with its 95 % band."""
    return f"{max(estimate.value, 0):.0f} ± {Z95 * estimate.std:.0f}" if estimate else "-"


def percent(share: float, digits: int = 0) -> str:
    """Write a share in per cent."""
    return f"{100 * share:.{digits}f} %"


def auc_text(found: Evaluated) -> str:
    """Write an AUC, or that the noise hides it."""
    return f"{found.auc:.3f}" if found.auc is not None else "hidden by noise"


def interval_text(found: Evaluated) -> str:
    """Write an AUC's interval."""
    if found.low is None or found.high is None:
        return "too few patients for this noise"
    return f"{found.low:.3f} to {found.high:.3f} ({percent(found.confidence)})"


def failures(model: ReportModel) -> Texts:
    """List what went missing, by hospital and reason, rounds counted."""
    lines = []
    for site in model.sites:
        counted: dict[tuple[str, str], int] = {}
        for phase, _, code in site.failures:
            counted[phase, code] = counted.get((phase, code), 0) + 1
        for (phase, code), count in sorted(counted.items()):
            times = f" in {count} rounds" if count > 1 else ""
            error = error_for(code)
            lines.append(f"{site.site}, {phase}{times}: {code}, {error.what}; {error.fix}")
    return tuple(lines)


def forest_rows(model: ReportModel) -> list[charts.ForestRow]:
    """Line up the AUCs of all hospitals, and of all together."""
    rows = []
    for site in model.sites:
        if site.evaluated is None:
            continue
        local = site.local
        second = None
        if local is not None and local.alone_auc is not None:
            second = (local.alone_auc, local.alone_low, local.alone_high)
        found = site.evaluated
        rows.append(charts.ForestRow(site.site, found.auc, found.low, found.high, second=second))
    if model.together is not None:
        found = model.together
        rows.append(
            charts.ForestRow("all hospitals", found.auc, found.low, found.high, strong=True)
        )
    return rows


def performance_text(model: ReportModel) -> str:
    """Say in a sentence how good the model is."""
    found = model.together
    if is_dominated(model):
        return (
            "No AUC over all hospitals is shown: one of them brings more than "
            f"{percent(model.study.qc.disclosure.max_share)} of the held-out patients, so it would be "
            "that hospital's in all but name."
        )
    if found is None or found.auc is None or found.low is None or found.high is None:
        return "The noise hides how well the model works: there are too few held-out patients."
    return (
        "The AUC is the chance that, given one patient with the outcome and one without, the model "
        "ranks the two rightly; a coin reaches 50 %. From the held-out patients of all hospitals "
        f"together it lies between {percent(found.low, 1)} and {percent(found.high, 1)} "
        f"({percent(found.confidence)} interval, privacy noise included); the best estimate is "
        f"{percent(found.auc, 1)}."
    )


def is_dominated(model: ReportModel) -> bool:
    """Tell whether there is no result over all hospitals because one brings most of it."""
    return model.together is None and any(site.evaluated for site in model.sites)


def coefficient_rows(model: ReportModel) -> list[tuple[str, float, float | None]]:
    """Sort the coefficients by size."""
    rows = [(c.name, c.value, c.noise_std) for c in model.coefficients]
    return sorted(rows, key=lambda row: (-abs(row[1]), row[0]))


def coefficients_text(model: ReportModel) -> str:
    """Explain the coefficients."""
    label = model.study.cohort.label
    what = label.description or label.name
    text = (
        f"Change of the log-odds of the outcome ({what}) when an input moves from the middle of its "
        "typical range to its end, or when a category applies. These are associations, not causes."
    )
    clear = [c.name for c in model.coefficients if c.clear_of_noise]
    if model.coefficients and model.coefficients[0].noise_std is not None:
        text += (
            f" {len(clear)} of {len(model.coefficients)} stand clear of the most that privacy noise "
            "can do (filled dots)."
        )
    return text


def clear_of_noise(cells: int) -> float:
    """Return how many standard deviations a cell needs, so that in 20 reports about 1 errs once."""
    return NormalDist().inv_cdf(1 - 0.05 / max(cells, 1))


def training_charts(model: ReportModel) -> tuple[Markup, Markup]:
    """Draw convergence and timeline."""
    training = model.study.training
    averaged = first_tail_round(training.rounds, training.tail_fraction)
    seconds = [record.duration_ms / 1000 for record in model.rounds]
    rows = []
    for site in model.sites:
        failed = {number: code for phase, number, code in site.failures if phase == "train"}
        codes = [
            None if site.site in record.sites else failed.get(record.round, "")
            for record in model.rounds
        ]
        rows.append(charts.TimelineRow(site.site, codes))
    norms = [record.update_norm for record in model.rounds]
    return (
        charts.convergence(norms, averaged, "Size of the update in each round"),
        charts.timeline(seconds, rows, "Seconds per round and who took part"),
    )


def _pace(rounds: tuple[RoundRecord, ...]) -> str:
    if not rounds:
        return "none yet"
    return f"{median(record.duration_ms for record in rounds) / 1000:.2f} s each (median)"
