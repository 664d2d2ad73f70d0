"""Poisson sampling: independent fresh coins at the declared rate, batch sizes that vary."""

import numpy as np
from scipy import stats

from cordon_client.training.sampling import draw_patients
from cordon_common.protocol.study import FullBatch, Poisson

SURE = 1e-7


def poisson(rate):
    return Poisson(scheme="poisson", rate=rate)


def test_full_batch_takes_everyone():
    assert draw_patients(50, FullBatch()).all()


def test_no_patients_need_no_coins():
    assert draw_patients(0, poisson(0.5)).shape == (0,)


def test_each_patient_is_drawn_at_the_declared_rate():
    for rate in (0.01, 0.25, 0.9):
        taken = int(draw_patients(400_000, poisson(rate)).sum())
        assert stats.binomtest(taken, 400_000, rate).pvalue > SURE


def test_batch_sizes_are_binomial_not_constant():
    sizes = np.array([draw_patients(100, poisson(0.3)).sum() for _ in range(3000)])
    edges = np.arange(15, 47)
    observed = np.array([(sizes <= edges[0]).sum(), *(sizes == e for e in edges[1:])], dtype=object)
    observed = np.array([np.sum(o) for o in observed], dtype=float)
    observed = np.append(observed, sizes.size - observed.sum())
    chance = np.append(stats.binom.cdf(edges[0], 100, 0.3), stats.binom.pmf(edges[1:], 100, 0.3))
    chance = np.append(chance, 1 - chance.sum())
    keep = chance * sizes.size > 5
    statistic = np.square(observed - chance * sizes.size)[keep] / (chance * sizes.size)[keep]
    assert stats.chi2.sf(float(statistic.sum()), df=int(keep.sum())) > SURE


def test_two_patients_and_two_rounds_are_drawn_independently():
    rounds = np.array([draw_patients(2, poisson(0.5)) for _ in range(20_000)])
    both = int((rounds[:, 0] & rounds[:, 1]).sum())
    assert stats.binomtest(both, 20_000, 0.25).pvalue > SURE
    repeated = int((rounds[1:, 0] & rounds[:-1, 0]).sum())
    assert abs(repeated / 19_999 - 0.25) < 0.02
