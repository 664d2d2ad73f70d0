"""Checks of the coordinator's log: signed studies, genuine receipts, an unbroken chain of models."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from cordon_common.audit.result import judge
from cordon_common.audit.runs import runs_of
from cordon_common.audit.sums import check_sums
from cordon_common.ledger.bundle import study_file
from cordon_common.ledger.entries import (
    CampaignClosed,
    EvaluationDone,
    GateDecided,
    ReleaseReceived,
    RoundAggregated,
    RoundStarted,
    SiteDescribed,
)
from cordon_common.wire import arrays_digest, request_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cordon_common.audit.bundle import Bundle
    from cordon_common.audit.result import Row
    from cordon_common.audit.runs import Run
    from cordon_common.audit.views import SignedStudy, View
    from cordon_common.signing import PublicKey

_NO_ARRAYS = arrays_digest({})


def check_coordinator(bundle: Bundle, view: View, trusted: Sequence[PublicKey]) -> tuple[Row, ...]:
    """Check what a coordinator's log says; its entries have been read without a problem."""
    runs = runs_of(view)
    return (
        _signed(bundle, view, runs, trusted),
        _receipts(runs),
        _gate(runs),
        _used(runs),
        _chain(runs),
        _asked(runs),
        *check_sums(runs),
        _model(runs),
    )


def _signed(bundle: Bundle, view: View, runs: Sequence[Run], trusted: Sequence[PublicKey]) -> Row:
    problems = []
    for carried in view.studies.values():
        problem = carried.problem or _distrust(bundle, carried, trusted)
        if problem:
            problems.append(f"{carried.name}: {problem}")
    return judge(
        "studies",
        "every study that was run is in the log, signed by the coordinator",
        f"{len(view.studies)} studies, {len(runs)} campaigns",
        problems=problems,
        unproven=[
            f"campaign {run.run}: the log does not hold its signed study"
            for run in runs
            if run.study not in view.studies
        ],
    )


def _distrust(bundle: Bundle, carried: SignedStudy, trusted: Sequence[PublicKey]) -> str:
    if str(carried.signer) != bundle.manifest.key:
        return "another key than the log's signed it"
    if trusted and carried.signer not in trusted:
        return "its signer is not the coordinator key that you gave"
    if bundle.files.get(study_file(carried.digest)) != carried.file_bytes:
        return "the bundle's file is missing or is another study"
    return ""


def _receipts(runs: Sequence[Run]) -> Row:
    problems, count = [], 0
    for run in runs:
        for body in run.all(ReleaseReceived):
            count += 1
            problem = _receipt_problem(run, body)
            if problem:
                problems.append(f"{body.site} {_place(body)}: {problem}")
    return judge(
        "receipts",
        "every release came with the site's own receipt for exactly that release and study",
        f"{count} receipts verified with the roster's keys",
        problems=problems,
    )


def _receipt_problem(run: Run, body: ReleaseReceived) -> str:
    receipt = run.receipt(body)
    if isinstance(receipt, str):
        return receipt
    if (receipt.site, receipt.slot) != (body.site, body.slot):
        return "the receipt is for another release (replayed)"
    if receipt.release_digest != body.release:
        return "the receipt names another digest"
    if not run.view.as_planned(body.slot, receipt.event):
        return "noise or sampling are not what the study implies"
    return ""


def _gate(runs: Sequence[Run]) -> Row:
    problems = []
    for run in runs:
        gates = run.all(GateDecided)
        admitted = set(gates[-1].included) if gates and gates[-1].passed else set()
        minimum = run.protocol.qc.gate.min_sites if run.protocol else 1
        if gates and gates[-1].passed and len(admitted) < minimum:
            problems.append(f"campaign {run.run}: the gate passed with {len(admitted)} sites")
        trained = {used.site for body in run.all(RoundAggregated) for used in body.used}
        problems += [
            f"campaign {run.run}: {site} trained without having passed the gate"
            for site in sorted(trained - admitted)
        ]
    return judge(
        "gate",
        "only sites that passed the quality gate trained, and never fewer than the minimum passed",
        f"{len(runs)} campaigns",
        problems=problems,
    )


def _used(runs: Sequence[Run]) -> Row:
    problems, count = [], 0
    for run in runs:
        minimum = run.protocol.qc.gate.min_sites if run.protocol else 1
        for body in run.all(RoundAggregated):
            used = [(item.site, item.release) for item in body.used]
            count += len(used)
            if set(used) - run.received("train", body.round):
                problems.append(f"round {body.round} used a release that never came")
            if max(Counter(used).values(), default=0) > 1 or len(used) < minimum:
                problems.append(f"round {body.round} used a release twice, or too few")
        for evaluation in run.all(EvaluationDone):
            scores = {(item.site, item.release) for item in evaluation.used}
            if scores - run.received("evaluate"):
                problems.append("the evaluation used a release that never came")
    return judge(
        "used",
        "the model was made of received releases only, each used once",
        f"{count} releases used",
        problems=problems,
    )


def _chain(runs: Sequence[Run]) -> Row:
    problems, links = [], 0
    for run in runs:
        rounds = run.all(RoundAggregated)
        links += len(rounds)
        initial = {body.weights for body in run.all(SiteDescribed)}
        if rounds and initial != {rounds[0].weights_in}:
            problems.append("the first round did not start from the weights that the sites drew")
        if [body.round for body in rounds] != list(range(len(rounds))):
            problems.append(f"campaign {run.run}: rounds are missing or repeated")
        problems += [
            f"round {after.round} did not start from the weights of round {before.round}"
            for before, after in pairwise(rounds)
            if after.weights_in != before.weights_out
        ]
    return judge(
        "chain",
        "every round started from the weights that the round before made",
        f"{links} rounds linked",
        problems=problems,
    )


def _asked(runs: Sequence[Run]) -> Row:
    """Recompute the request digests: a receipt binds a release to the weights it was asked on."""
    problems, unproven, count = [], [], 0
    for run in runs:
        weights = _weights(run)
        for body in run.all(ReleaseReceived):
            receipt = run.receipt(body)
            asked = weights.get((body.slot.phase, body.slot.round))
            if isinstance(receipt, str):
                continue  # the row on receipts fails
            if asked is None:
                unproven.append(f"{body.site} {_place(body)}: the log names no weights for it")
            elif (request := run.request(body.slot)) is None:
                unproven.append(f"{body.site} {_place(body)}: the log does not name the sum's keys")
            elif receipt.request_digest != request_digest(request, asked):
                problems.append(f"{body.site} {_place(body)} was asked on other weights")
            count += 1
    return judge(
        "weights",
        "every site was asked on the weights, and with the keys, that the log names",
        f"{count} requests recomputed",
        problems=problems,
        unproven=unproven,
    )


def _weights(run: Run) -> dict[tuple[str, int], str]:
    """Return the digest of the weights that went out in each phase and round."""
    found = {("qc", 0): _NO_ARRAYS}
    found |= {("train", body.round): body.weights for body in run.all(RoundStarted)}
    for body in run.all(EvaluationDone):
        found["evaluate", 0] = body.weights
    return found


def _model(runs: Sequence[Run]) -> Row:
    finished = [run for run in runs if run.finished]
    problems = []
    for run in finished:
        kept = {body.weights for body in run.all(CampaignClosed) if body.outcome == "finished"}
        if kept != {body.weights for body in run.all(EvaluationDone)}:
            problems.append(f"campaign {run.run} kept another model than it evaluated")
    return judge(
        "model",
        "the model that was kept is the model that was evaluated",
        f"{len(finished)} finished campaigns",
        problems=problems,
    )


def _place(body: ReleaseReceived) -> str:
    return f"{body.slot.phase} round {body.slot.round}"
