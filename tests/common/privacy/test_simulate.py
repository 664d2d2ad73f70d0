"""The prediction simulates what the study really does, on patients that do not exist."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cordon_common.privacy import simulate
from cordon_common.privacy.calibrate import resolve
from cordon_common.privacy.planner import summed_noise_std
from cordon_common.protocol.layout import InputColumn, input_columns

MLP = {"family": "mlp", "hidden": [5, 3]}


def random_layers(widths, seed):
    rng = np.random.default_rng(seed)
    return [
        (rng.normal(size=(fan_out, fan_in)), rng.normal(size=fan_out))
        for fan_in, fan_out in itertools.pairwise(widths)
    ]


def numerical_gradient(flat, shapes, row, outcome):
    """Central differences of one patient's logistic loss."""

    def loss(vector):
        score = simulate.logits(simulate._unflatten(vector, shapes), row[None])[0]
        return np.logaddexp(0, score) - outcome * score

    steps = np.eye(flat.size) * 1e-6
    return np.array([(loss(flat + step) - loss(flat - step)) / 2e-6 for step in steps])


@pytest.mark.parametrize("widths", [[4, 1], [4, 5, 1], [4, 5, 3, 1]])
@pytest.mark.parametrize("clip", [0.05, 100.0])
def test_the_clipped_sum_equals_a_loop_over_single_patients(widths, clip):
    rng = np.random.default_rng(3)
    layers = random_layers(widths, 1)
    cohort = simulate.Cohort(rng.normal(size=(6, 4)), np.array([0.0, 1, 1, 0, 1, 0]))
    flat, shapes = simulate._flatten(layers)
    expected = np.zeros(flat.size)
    for row, outcome in zip(cohort.inputs, cohort.outcomes, strict=True):
        gradient = numerical_gradient(flat, shapes, row, outcome)
        expected += gradient * min(1.0, clip / np.linalg.norm(gradient))
    np.testing.assert_allclose(
        simulate.clipped_sum(layers, cohort, clip), expected, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "sgd", "learning_rate": 0.5},
        {"name": "sgd", "learning_rate": 0.5, "momentum": 0.9},
        {"name": "adam", "learning_rate": 0.1},
    ],
)
def test_the_simulated_rounds_are_the_coordinators(make_study, optimizer):
    from cordon_server import optimizer as coordinator

    study = resolve(
        make_study(training={"optimizer": optimizer, "weight_decay": 0.01, "rounds": 7}, model=MLP)
    )
    train, _, start = simulate._world(study, 0)
    flat, shapes = simulate._flatten(start)
    state = coordinator.start(flat)
    for _ in range(study.training.rounds):
        total = simulate.clipped_sum(simulate._unflatten(state.weights, shapes), train, 1.0)
        state = coordinator.step(state, total / study.training.divisor, study)
    trained = simulate.train_federated(study, train, start, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(
        simulate._flatten(trained)[0], coordinator.averaged_weights(state), rtol=1e-10, atol=1e-12
    )


def test_auc_is_the_rank_statistic():
    rng = np.random.default_rng(2)
    outcomes = (rng.random(500) < 0.3).astype(float)
    scores = rng.normal(size=500) + outcomes
    assert simulate.auc(scores, outcomes) == pytest.approx(roc_auc_score(outcomes, scores))
    assert simulate.auc(scores, np.ones(500)) == 0.5


@pytest.mark.parametrize("target", [0.6, 0.75, 0.85, 0.95])
def test_the_declared_effect_gives_the_declared_auc(target):
    rng = np.random.default_rng(4)
    log_odds = simulate.effect_scale(target) * rng.normal(size=200_000)
    outcomes = (rng.random(200_000) < 1 / (1 + np.exp(-log_odds))).astype(float)
    assert simulate.auc(log_odds, outcomes) == pytest.approx(target, abs=0.005)


def test_invented_patients_have_the_shape_of_the_study(make_study):
    columns = input_columns(make_study().cohort)
    cohort = simulate.invent(columns, 300, np.ones(len(columns)), [1])
    assert cohort.inputs.shape == (300, len(columns))
    assert np.abs(cohort.inputs).max() <= 1
    categories = [i for i, column in enumerate(columns) if column.kind == "category"]
    assert (cohort.inputs[:, categories].sum(axis=1) == 1).all()
    assert 0.3 < cohort.outcomes.mean() < 0.7


def test_invented_amounts_are_there_as_often_as_expected():
    columns = [InputColumn("species", "amount", expected=0.2)]
    cohort = simulate.invent(columns, 5000, np.ones(1), [1])
    assert set(cohort.inputs[:, 0]) == {-0.2, 0.8}
    assert cohort.inputs.mean() == pytest.approx(0, abs=0.02)


def test_more_noise_predicts_less_and_none_costs_none(make_study):
    study = resolve(make_study())
    none = simulate.predict(study, 0.0)
    some = simulate.predict(study, 20.0)
    much = simulate.predict(study, 2000.0)
    assert none.lost == pytest.approx(0, abs=1e-12)
    assert none.auc > some.auc > much.auc
    assert some.low <= some.auc <= some.high
    assert much.auc == pytest.approx(0.5, abs=0.15)


def test_more_patients_predict_a_better_model(make_study):
    few = resolve(make_study(sites=(40, 40, 40), training={"divisor": 90}))
    many = resolve(make_study(sites=(800, 800, 800), training={"divisor": 1800}))
    assert (
        simulate.predict(many, summed_noise_std(many)).auc
        > simulate.predict(few, summed_noise_std(few)).auc
    )


def test_a_prediction_can_be_repeated(make_study):
    study = resolve(make_study(model=MLP))
    assert simulate.predict(study, 3.0) == simulate.predict(study, 3.0)


def test_a_model_too_large_for_seconds_is_not_predicted(make_study):
    study = resolve(make_study(model={"family": "mlp", "hidden": [4096, 4096]}))
    assert simulate.predict(study, 1.0) is None


def test_poisson_rounds_see_a_sample(make_study):
    study = make_study(training={"sampling": {"scheme": "poisson", "rate": 0.25}})
    cohort = simulate.Cohort(np.zeros((4000, 1)), np.zeros(4000))
    taken = simulate._sample(cohort, study.training, np.random.default_rng(0))
    assert 850 < taken.outcomes.size < 1150


def test_missing_indicators_and_neighbouring_categories_are_told_apart(make_study):
    cohort = {
        "patient_id": "pid",
        "features": [
            {"name": "a", "type": "category", "categories": ["x", "y"], "missing_indicator": True},
            {"name": "b", "type": "category", "categories": ["x", "y", "z"]},
        ],
        "label": {"name": "num", "positive": ["1"], "negative": ["0"]},
    }
    columns = input_columns(make_study(cohort=cohort).cohort)
    groups = simulate._groups(columns)
    assert groups == [(0, 2, "category"), (2, 3, "missing"), (3, 6, "category")]
    drawn = simulate.invent(columns, 2000, np.ones(6), [0]).inputs
    assert (drawn[:, 0:2].sum(axis=1) == 1).all()
    assert (drawn[:, 3:6].sum(axis=1) == 1).all()
    assert 0.05 < drawn[:, 2].mean() < 0.15
