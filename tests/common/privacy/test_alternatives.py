"""The trust models side by side: what a plan says of each is what that study would say of itself."""

import pytest

from cordon_common.errors import ProtocolError
from cordon_common.privacy.alternatives import BUCKETS, alternatives, bucket, with_sites
from cordon_common.privacy.planner import plan
from cordon_common.protocol.parse import with_trust


def test_every_trust_model_is_what_a_plan_under_it_says(make_study):
    study = make_study(qc={"gate": {"min_patients": 30, "min_sites": 3}})
    found = {each.trust_model: each for each in alternatives(study, simulate=False)}
    assert set(found) == {"local", "secure-sum"}
    for trust, each in found.items():
        made = plan(with_trust(study, trust), simulate=False)
        assert each.epsilon == made.epsilon.pld
        assert each.epsilon_local == made.epsilon_local.pld
        training = made.releases[1]
        assert each.site_noise == pytest.approx(training.noise_std / training.bound, rel=1e-3)
        assert each.sum_noise == pytest.approx(each.site_noise * 3**0.5)
    assert found["secure-sum"].sum_noise < found["local"].sum_noise
    assert found["secure-sum"].epsilon_local > found["local"].epsilon_local


def test_a_study_that_cannot_have_a_trust_model_is_told_why(make_study):
    local = {
        "algorithm": "dp-fedavg",
        "rounds": 3,
        "clip_norm": 1.0,
        "divisor": 300,
        "local_steps": 4,
        "local_learning_rate": 0.5,
        "update_norm": 10.0,
    }
    study = make_study()
    value = study.as_json() | {"training": local}
    own, masked = alternatives(type(study).model_validate(value, strict=False), simulate=False)
    assert (own.trust_model, own.why_not) == ("local", "")
    assert "dp-fedsgd" in masked.why_not
    assert masked.row()[1:] == ("-",) * 7
    assert masked.as_json()["utility"] is None


@pytest.mark.parametrize(
    ("patients", "size"), [(1, 20), (20, 20), (180, 200), (90, 100), (10**7, BUCKETS[-1])]
)
def test_sizes_are_known_in_buckets_only(patients, size):
    assert bucket(patients) == size


def test_sites_can_be_made_up_for_planning(make_study):
    study = with_sites(make_study(), {"north": 180, "east": 95, "south": 60})
    assert [(e.site, e.expected_patients) for e in study.roster] == [
        ("north", 200), ("east", 100), ("south", 50)
    ]  # fmt: skip
    assert len({entry.key for entry in study.roster}) == 3
    assert len(plan(study, simulate=False).sites) == 3


def test_too_few_made_up_sites_are_refused(make_study):
    with pytest.raises(ProtocolError) as refused:
        with_sites(make_study(), {"north": 180})
    assert refused.value.code == "PR001"
