"""More releases or more epsilon than was agreed on."""

from __future__ import annotations

import json


def test_more_releases_than_the_study_allows_are_caught(consortium):
    consortium.campaign()
    slots = [consortium.slot("train", i, run="run-2") for i in range(12)]
    for slot in slots:
        consortium.log.append(consortium.release("north", slot))
    caught = consortium.audit(consortium.export()).failed
    assert ("site north", "count") in caught


def test_more_epsilon_than_the_study_declares_is_caught(consortium):
    for run in range(3):
        for number in range(4):
            slot = consortium.slot("train", number, run=f"run-{run}")
            consortium.log.append(consortium.release("north", slot))
    privacy = consortium.study.privacy.model_copy(update={"epsilon": 2.0})
    consortium.study = consortium.make_study(privacy=privacy)
    result = consortium.audit(consortium.export()["north"])
    assert ("site north", "epsilon") not in result.failed
    forged = consortium.export()["north"]

    def cheaper(entries):
        at = consortium.of_kind(entries, "study.approved.v1")[0]
        envelope = consortium.sign(consortium.study)
        old = entries[at]["body"]["study"]
        text = json.dumps(entries).replace(old, envelope.digest)
        entries = json.loads(text)
        entries[at]["body"]["envelope"] = envelope.model_dump(mode="json")
        return entries

    consortium.forge("north", cheaper)
    assert ("site north", "epsilon") in consortium.audit(forged).failed


def test_more_epsilon_than_the_lifetime_budget_is_caught(bundles, consortium):
    def smaller(entries):
        at = consortium.of_kind(entries, "policy.set.v2")[0]
        entries[at]["body"]["lifetime_epsilon"] = 0.5
        return entries

    consortium.forge("north", smaller)
    assert ("site north", "lifetime") in consortium.audit(bundles).failed


def test_a_budget_lowered_after_the_spending_is_no_overspending(bundles, consortium):
    def lower(entries):
        at = consortium.of_kind(entries, "policy.set.v2")[0]
        lowered = json.loads(json.dumps(entries[at]))
        lowered["body"]["lifetime_epsilon"] = 0.5
        lowered["time"] = entries[-1]["time"]
        return [*entries, lowered]

    consortium.forge("north", lower)
    assert consortium.audit(bundles).failed == set()
