"""A study is refused with the field's path, the reason and an example; or it is exactly itself."""

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_site import study_value

from cordon_common.errors import CordonError, ProtocolError, UsageError
from cordon_common.privacy.calibrate import resolve
from cordon_common.protocol.parse import (
    STUDY_TYPE,
    load_study,
    load_yaml,
    open_study,
    parse_model,
)
from cordon_common.protocol.study import Study
from cordon_common.signing import SigningKey, seal

CONFIGS = Path(__file__).parents[3] / "configs" / "studies"
ROSTER = [
    {"site": name, "key": str(SigningKey.generate().public), "expected_patients": 100}
    for name in ("north", "south")
]


def study(**changes):
    return parse_model(Study, study_value(ROSTER, **changes), code="PR001", what="test")


def refusal(path, value):
    """Put a value at a dotted path of a good study and return what is said about it."""
    whole = copy.deepcopy(study_value(ROSTER))
    place = whole
    *parents, last = path.split(".")
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    place[int(last) if last.isdigit() else last] = value
    with pytest.raises(ProtocolError) as caught:
        parse_model(Study, whole, code="PR001", what="test")
    assert caught.value.code == "PR001"
    return caught.value.why


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "training.clip_norm",
            0,
            "training.clip_norm: input should be greater than or equal to 0.000001; for example",
        ),
        ("training.clip_norm", float("nan"), "training.clip_norm"),
        ("training.clip_norm", 1e-310, "training.clip_norm"),  # no room left below it for rounding
        ("privacy.noise", {"qc": 1e-300, "training": 9, "evaluation": 9}, "privacy.noise.qc"),
        ("training.rounds", 2.5, "training.rounds"),
        ("training.optimizer", {"name": "sgd", "learning_rate": -1}, "learning_rate"),
        ("privacy.epsilon", float("inf"), "privacy.epsilon"),
        ("privacy.delta", 0.5, "privacy.delta"),
        ("privacy.charged", ["training"], "charge all three"),
        ("privacy.unprotected", [], "participation and qc_verdict"),
        ("privacy.sigma", 1, "privacy.sigma: extra inputs are not permitted"),
        ("model", {"family": "mlp"}, "model: an mlp needs model.hidden, for example [16]"),
        ("model", {"family": "logistic", "hidden": [3]}, "remove model.hidden"),
        ("cohort.features.0.range", [5, 5], "cohort.features.0.range: the first bound"),
        ("cohort.features.0.impute", 500, "impute must lie inside range"),
        ("cohort.features.1.scale", "log", "a logarithm needs typical"),
        ("cohort.features.0.expected", 0.2, "expected belongs to scale"),
        ("cohort.features.1.name", "age", "a column name is used twice"),
        ("cohort.features.2.categories", ["f"], "cohort.features.2"),
        ("cohort.label.negative", ["1"], "listed as positive and as negative"),
        ("cohort.patient_id", None, ""),
        ("qc.gate.min_sites", 3, "qc.gate.min_sites is larger than the roster"),
        ("roster.1.site", "north", "a site is listed twice"),
        ("roster.1.key", ROSTER[0]["key"], "two sites share one key"),
        ("permit.end_date", "soon", "permit.end_date"),
        ("cordon", 2, "cordon"),
    ],
)
def test_a_wrong_field_is_named_with_the_reason(path, value, said):
    if path == "cohort.patient_id":
        assert study().cohort.patient_id == "patient_id"
        return
    assert said in refusal(path, value)


def test_every_wrong_field_is_told_at_once():
    whole = study_value(ROSTER)
    del whole["purpose"]
    whole["training"]["rounds"] = 0
    with pytest.raises(ProtocolError) as caught:
        parse_model(Study, whole, code="PR001", what="test")
    lines = caught.value.why.splitlines()
    assert [line.split(":")[0] for line in lines] == ["purpose", "training.rounds"]
    assert all("for example" in line for line in lines)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_in_configs_is_valid_and_its_digest_ignores_layout(path, tmp_path):
    loaded = load_study(path)
    again = tmp_path / "again.yaml"
    again.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()), sort_keys=True))
    assert load_study(again).digest == loaded.digest


@given(st.floats(0.1, 50), st.integers(1, 500))
def test_the_digest_follows_every_change(epsilon, rounds):
    base = study()
    value = study_value(ROSTER)
    value["privacy"] |= {"epsilon": epsilon}
    value["training"] |= {"rounds": rounds}
    changed = parse_model(Study, value, code="PR001", what="test")
    same = epsilon == base.privacy.epsilon and rounds == base.training.rounds
    assert (changed.digest == base.digest) == same


def test_a_study_survives_its_canonical_form():
    base = resolve(study())
    assert parse_model(Study, base.as_json(), code="PR001", what="test") == base


@pytest.mark.parametrize(
    ("text", "why"),
    [("a: [1", "line"), ("a: 1\na: 2\n", "written twice"), ("!!python/object:os.system x", "line")],
)
def test_a_file_that_is_not_yaml_is_refused_with_the_line(tmp_path, text, why):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    with pytest.raises(ProtocolError) as caught:
        load_yaml(path)
    assert caught.value.code == "PR002"
    assert why in caught.value.why


def test_files_that_are_missing_binary_or_huge_are_refused(tmp_path):
    with pytest.raises(UsageError, match="US002"):
        load_yaml(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\0")
    with pytest.raises(ProtocolError, match="PR002"):
        load_yaml(binary)
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"# " + b"x" * (8 * 1024 * 1024))
    with pytest.raises(ProtocolError, match="PR002"):
        load_yaml(huge)


def test_a_signed_study_opens_only_with_a_trusted_key_noise_and_its_canonical_form():
    key = SigningKey.generate()
    good = resolve(study())
    envelope = seal(key, STUDY_TYPE, good.as_json())
    assert open_study(envelope, (key.public,)) == good
    short = {k: v for k, v in good.as_json().items() if k != "timing"}
    for broken, trusted, code in (
        (envelope, (), "PR003"),
        (seal(key, STUDY_TYPE, study().as_json()), (key.public,), "PR007"),
        (seal(key, STUDY_TYPE, short), (key.public,), "PR001"),
        (seal(key, "cordon.other.v1", good.as_json()), (key.public,), "IN001"),
    ):
        with pytest.raises(CordonError) as caught:
            open_study(broken, trusted)
        assert caught.value.code == code


LOCAL_STEPS = {
    "algorithm": "dp-fedavg",
    "rounds": 3,
    "clip_norm": 1.0,
    "divisor": 200,
    "local_steps": 4,
    "local_learning_rate": 0.5,
    "update_norm": 5.0,
}


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"strategy": {"name": "fedavg", "beta1": 0.9}}, "training.strategy.beta1: extra inputs"),
        ({"strategy": {"name": "fedadam"}}, "training.strategy.learning_rate: field required"),
        ({"strategy": {"name": "krum", "malicious_sites": 1}}, "krum set like this needs 5 sites"),
        ({"strategy": {"name": "fedmedian"}}, "fedmedian set like this needs 3 sites"),
        ({"strategy": {"name": "fedtrimmedavg", "trim": 0.1}}, "needs 10 sites or more"),
        ({"strategy": {"name": "fedbest"}}, "training.strategy"),
        ({"optimizer": {"name": "sgd", "learning_rate": 1.0}}, "training.optimizer: extra inputs"),
        ({"algorithm": "dp-fedsgd"}, "training.local_steps: extra inputs"),
        ({"local_steps": 0}, "training.local_steps: input should be greater"),
    ],
)
def test_what_does_not_go_together_is_refused_when_it_is_read(training, said):
    assert said in refusal("training", LOCAL_STEPS | training)


@pytest.mark.parametrize(
    ("strategy", "said"),
    [
        ({"name": "fedavg"}, "the noise of local steps does not add up"),
        ({"name": "fedmedian"}, "fedmedian needs every site's own update, which masks hide"),
        ({"name": "krum", "malicious_sites": 1}, "krum needs every site's own update"),
    ],
)
def test_masked_sums_do_not_go_with_local_steps(strategy, said):
    training = LOCAL_STEPS | {"strategy": strategy}
    value = study_value(ROSTER, training=training)
    value["privacy"] = value["privacy"] | {"trust_model": "secure-sum"}
    with pytest.raises(ProtocolError) as caught:
        parse_model(Study, value, code="PR001", what="test")
    assert said in caught.value.why


def test_rules_of_disclosure_at_their_default_leave_the_digests_of_older_studies_alone():
    value = study_value(ROSTER)
    before = parse_model(Study, value, code="PR001", what="test")
    assert "disclosure" not in before.as_json()["qc"]
    said = {"qc": value["qc"] | {"disclosure": {"min_cell": 10, "max_share": 0.8}}}
    assert parse_model(Study, value | said, code="PR001", what="test").digest == before.digest
    other = {"qc": value["qc"] | {"disclosure": {"min_cell": 20}}}
    changed = parse_model(Study, value | other, code="PR001", what="test")
    assert changed.digest != before.digest
    again = parse_model(Study, changed.as_json(), code="PR001", what="test")
    assert (again, again.digest) == (changed, changed.digest)
