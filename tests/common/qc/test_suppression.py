"""Hidden cells stay hidden: attacks on single tables by elimination, on summaries by linear programs."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from cordon_common.qc.fates import KEPT_FATES, PatientFate
from cordon_common.qc.shown import Shown, shown_of
from cordon_common.qc.summary import FATE, LABEL, SHARE, decode, encode, qc_layout
from cordon_common.qc.suppression import SUPPRESSED_BELOW, conceal

K = SUPPRESSED_BELOW
COUNT = st.one_of(st.integers(0, 12), st.integers(0, 200), st.just(0))
NOISY = st.floats(-40, 200, allow_nan=False)
PLACES = [fate.value for fate in PatientFate if not fate.value.startswith("sample_")]
"""The fates of a study that asks for no sample files."""
KEPT = [PLACES.index(fate.value) for fate in KEPT_FATES]


@st.composite
def tables(draw, values=NOISY):
    """A histogram and totals inside one another: all, some of these, some of those."""
    counts = draw(st.lists(values, min_size=3, max_size=9))
    cut, inner = sorted(draw(st.tuples(*[st.integers(0, len(counts))] * 2)))
    sets = [range(len(counts)), range(cut), range(cut, len(counts)), range(min(inner, cut))]
    chosen = draw(st.lists(st.sampled_from(sets), min_size=1, unique=True))
    return counts, [frozenset(one) for one in chosen if len(one)]


def widths(wanted, rows, values):
    """Return what linear programming leaves open of each wanted sum of unknown counts, none negative."""
    found = []
    for cost in wanted:
        ends = []
        for sign in (1, -1):
            answer = linprog(sign * cost, A_eq=rows, b_eq=values, bounds=(0, None))
            assert answer.status in {0, 3}, answer.message
            ends.append(sign * answer.fun if answer.status == 0 else np.inf)
        found.append(abs(ends[1] - ends[0]))
    return np.array(found)


@given(tables())
@settings(max_examples=300, deadline=None)
def test_no_small_cell_is_shown_and_no_shown_total_tells_a_hidden_one(table):
    counts, totals = table
    hidden = conceal(counts, totals)
    shown_totals = [t for i, t in enumerate(totals) if i not in hidden.totals]
    assert all(counts[i] >= K for i in range(len(counts)) if i not in hidden.cells)
    assert all(sum(counts[i] for i in total) >= K for total in shown_totals)
    # Elimination: whatever combination of shown totals and cells gives exactly one hidden cell.
    places = sorted(hidden.cells)
    rows = np.array([[float(i in total) for i in places] for total in shown_totals])
    for index in range(len(places)):
        single = np.eye(len(places))[index]
        known = rows.size and np.linalg.matrix_rank(np.vstack([rows, single])) == (
            np.linalg.matrix_rank(rows)
        )
        assert not known


@given(tables(COUNT))
@settings(max_examples=60, deadline=None)
def test_no_hidden_count_is_bound_to_less_than_k(table):
    counts, totals = table
    hidden = conceal(counts, totals)
    places = sorted(hidden.cells)
    known = [t for i, t in enumerate(totals) if i not in hidden.totals and t & hidden.cells]
    if not places or not known:
        return
    rows = np.array([[float(i in total) for i in places] for total in known])
    sums = [sum(counts[i] for i in total & hidden.cells) for total in known]
    assert (widths(np.eye(len(places)), rows, sums) >= K - 1e-6).all()


def test_one_small_cell_takes_the_next_smallest_along():
    hidden = conceal([3, 40, 20, 90], [frozenset(range(4))])
    assert hidden.cells == {0, 2}
    assert hidden.totals == frozenset()


def test_two_small_cells_of_little_sum_take_more_along():
    assert conceal([3, 4, 20, 90], [frozenset(range(4))]).cells == {0, 1, 2}
    assert conceal([6, 7, 20, 90], [frozenset(range(4))]).cells == {0, 1}


def test_without_a_known_total_only_the_small_cell_is_hidden():
    assert conceal([3, 40, 20, 90], []).cells == {0}


def test_a_part_whose_rest_is_small_is_not_shown_either():
    """103 patients of whom 100 are used: the difference would tell three."""
    totals = [frozenset(range(4)), frozenset({0, 1})]
    assert conceal([60, 40, 3, 0], totals).totals == {1}
    assert conceal([60, 40, 30, 20], totals).totals == frozenset()


def test_a_table_without_small_cells_is_shown_whole():
    assert conceal([30, 40, 20], [frozenset(range(3))]) == conceal([30, 40, 20], [])


@given(tables(), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_cells_decides_nothing_but_ties(table, random):
    counts, totals = table
    counts = [count + 1e-6 * place for place, count in enumerate(counts)]
    order = list(range(len(counts)))
    random.shuffle(order)
    moved = conceal(
        [counts[i] for i in order],
        [frozenset(order.index(i) for i in total) for total in totals],
    )
    assert {order[i] for i in moved.cells} == conceal(counts, totals).cells


# --- whole summaries ---------------------------------------------------------------------------


@pytest.fixture
def layout(make_study, number, category):
    return qc_layout(make_study([number(), category(categories=["a", "b"])], bins=3))


@st.composite
def worlds(draw):
    """Counts that fit together: fates, outcomes, one histogram per feature."""
    fates = draw(st.lists(COUNT, min_size=len(PLACES), max_size=len(PLACES)))
    lost = fates[PLACES.index("label_missing")] + fates[PLACES.index("label_unknown")]
    known = sum(fates) - lost
    positive = draw(st.one_of(st.integers(0, known), st.just(min(3, known))))
    return fates, [positive, known - positive, lost], [draw(split(known, n)) for n in (6, 5)]


@st.composite
def split(draw, total, cells):
    left, found = total, []
    for _ in range(cells - 1):
        found.append(draw(st.one_of(st.integers(0, left), st.just(min(left, 4)), st.just(0))))
        left -= found[-1]
    found.append(left)
    return draw(st.permutations(found))


def summary_of(layout, world, std=1.0):
    fates, outcomes, features = world
    counts = {
        spec.name: np.array(cells, dtype=np.int64) * SHARE
        for spec, cells in zip(layout.histograms, [fates, outcomes, *features], strict=True)
    }
    vector = np.rint(encode(layout, counts) * 64).astype(np.int64)
    return decode(layout, vector, grid_per_unit=64.0, noise_std_grid=64.0 * std)


def attack(summary, shown):
    """Give all that is shown, and all that ties the histograms together, to linear programs.

    Returns how wide the interval of each hidden number stays.
    """
    cells = [(name, cell) for name, h in summary.histograms.items() for cell in h.spec.cells]
    counts = np.concatenate([h.counts for h in summary.histograms.values()])

    def row(plus, minus=()):
        return np.array([float(cell in plus) - float(cell in minus) for cell in cells])

    def all_of(name):
        return [(name, cell) for cell in summary.histograms[name].spec.cells]

    with_outcome = [(LABEL, "positive"), (LABEL, "negative")]
    without = [(FATE, "label_missing"), (FATE, "label_unknown")]
    used = row([(FATE, fate.value) for fate in KEPT_FATES])
    rows = [row(all_of(FATE), all_of(LABEL)), row(without, [(LABEL, "missing")])]
    rows += [row(all_of(n), with_outcome) for n in summary.histograms if n not in {FATE, LABEL}]
    rows += [row(all_of(FATE))] if shown.patients else []
    rows += [used] if shown.kept else []
    hidden = np.array([not shown.allows(*cell) for cell in cells])
    wanted = list(np.eye(hidden.sum())) + ([] if shown.kept else [used[hidden]])
    left = np.array(rows) @ np.where(hidden, counts, 0.0)  # what is visible is subtracted
    return widths(wanted, np.array(rows)[:, hidden], left)


@given(worlds())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(([100, 0, 0, 3, 0, 0, 0, 0], [70, 30, 3], [[50, 50, 0, 0, 0, 0], [50, 50, 0, 0, 0]]))
@example(([5, 0, 0, 20, 20, 0, 0, 0], [2, 3, 40], [[5, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0]]))
@example(([90, 0, 0, 8, 7, 1, 0, 0], [61, 30, 15], [[40, 51, 0, 0, 0, 0], [91, 0, 0, 0, 0]]))
@example(([90, 0, 0, 0, 3, 12, 14, 0], [86, 30, 3], [[39, 40, 37, 0, 0, 0], [60, 20, 12, 12, 12]]))
def test_no_hidden_count_of_a_summary_is_bound_to_less_than_k_by_all_that_is_shown(layout, world):
    summary = summary_of(layout, world)
    shown = shown_of(summary)
    if any(shown.hidden.values()):
        assert (attack(summary, shown) >= K - 1e-6).all()


def test_the_attack_finds_what_suppression_of_small_cells_alone_leaves_open(layout):
    world = ([100, 0, 0, 3, 0, 0, 0, 0], [70, 30, 3], [[50, 50, 0, 0, 0, 0], [50, 50, 0, 0, 0]])
    summary = summary_of(layout, world)
    small = {
        name: frozenset(c for c, n in zip(h.spec.cells, h.counts, strict=True) if n < K)
        for name, h in summary.histograms.items()
    }
    assert attack(summary, Shown(small, patients=True, kept=True)).max() < K


def test_of_a_hospital_with_few_patients_nothing_is_shown(layout):
    world = ([7, 0, 0, 0, 0, 0, 0, 0], [4, 3, 0], [[7, 0, 0, 0, 0, 0], [7, 0, 0, 0, 0]])
    shown = shown_of(summary_of(layout, world))
    assert (shown.patients, shown.kept) == (False, False)
    assert all(
        not shown.allows(spec.name, cell) for spec in layout.histograms for cell in spec.cells
    )


def test_patients_and_used_ones_are_not_both_shown_when_they_differ_by_few(layout):
    world = ([100, 0, 0, 0, 0, 3, 0, 0], [60, 43, 0], [[50, 53, 0, 0, 0, 0], [50, 53, 0, 0, 0]])
    assert not shown_of(summary_of(layout, world)).kept
    world = ([100, 0, 0, 0, 0, 23, 0, 0], [60, 63, 0], [[50, 73, 0, 0, 0, 0], [50, 73, 0, 0, 0]])
    assert shown_of(summary_of(layout, world)).kept


WORLD = ([100, 0, 0, 3, 0, 0, 0, 0], [70, 30, 3], [[50, 50, 0, 0, 0, 0], [50, 50, 0, 0, 0]])


def test_noise_that_reaches_k_by_itself_leaves_only_small_cells_to_hide(layout):
    summary = summary_of(layout, WORLD, std=K / 1.95)
    shown = shown_of(summary)
    assert shown.allows(LABEL, "positive", "negative")
    assert (shown.patients, shown.kept) == (True, True)
    for name, histogram in summary.histograms.items():
        small = {c for c, n in zip(histogram.spec.cells, histogram.counts, strict=True) if n < K}
        assert shown.hidden[name] == small


def test_noise_that_does_not_reach_k_still_asks_for_what_totals_would_tell(layout):
    shown = shown_of(summary_of(layout, WORLD, std=K / 2))
    assert not shown.allows(LABEL, "negative")


@given(st.integers(0, K - 1), st.floats(K / 1.96, 100))
def test_noise_of_that_size_keeps_a_difference_from_telling_a_small_count(count, std):
    """The best guess from a total and the other cells misses by k or more in one of 20 cases."""
    rng = np.random.default_rng(count)
    total, others = 103 + rng.normal(0, std, 2000), 103 - count + rng.normal(0, std, 2000)
    missed = np.abs((total - others) - count) >= K
    assert missed.mean() > 0.05
