"""Compiled sums are the plain ones, whatever way the rows lie, and never touch a dropped row."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cordon_client.training import reductions, sum_loops
from cordon_client.training.reductions import rows_of

DTYPES = [torch.float32, torch.float64]
UNIT = 2.0**-53


def lying(rows, width, dtype, way, seed):
    """Normal values [rows, width] that lie close, apart, behind an offset, or in columns."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, width, generator=generator, dtype=dtype)
    if way == "close":
        return values
    if way == "in columns":
        return values.t().contiguous().t()
    room = torch.full((rows, width + 5), torch.nan, dtype=dtype)
    start = 3 if way == "behind an offset" else 0
    room[:, start : start + width] = values
    return room[:, start : start + width]


def square_norms(values):
    return reductions.square_norms(rows_of(values))


shapes = {
    "rows": st.integers(1, 40),
    "width": st.integers(1, 70),
    "dtype": st.sampled_from(DTYPES),
    "way": st.sampled_from(["close", "apart", "behind an offset", "in columns"]),
    "seed": st.integers(0, 2**32 - 1),
}


def factor_for(rows, seed):
    """Factors in [0, 1), every third one zero."""
    factor = torch.rand(
        rows, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1)
    )
    factor[::3] = 0.0
    return factor


@given(**shapes)
def test_square_norms_are_those_of_the_library(rows, width, dtype, way, seed):
    values = lying(rows, width, dtype, way, seed)
    expected = values.double().square().sum(dim=1)
    torch.testing.assert_close(square_norms(values), expected, rtol=4 * width * UNIT, atol=0.0)


@given(**shapes)
def test_a_weighted_sum_leaves_dropped_rows_out_whatever_they_hold(rows, width, dtype, way, seed):
    values, factor = lying(rows, width, dtype, way, seed), factor_for(rows, seed)
    expected = factor @ values.double()
    values[::6] = torch.nan
    values[3::6] = torch.inf
    total = torch.ones(width, dtype=torch.float64)
    reductions.add_weighted(total, rows_of(values), factor)
    torch.testing.assert_close(total, 1.0 + expected, rtol=0.0, atol=1e-13 * rows)


@given(**shapes, outputs=st.integers(1, 23), wide=st.sampled_from([0, 200, 250, 500]))
def test_a_product_of_matrices_is_the_librarys(rows, width, dtype, way, seed, outputs, wide):
    """Over the edges of tiles and of the columns that are widened at a time."""
    a = lying(rows, width + wide, dtype, way, seed)
    g, factor = lying(rows, outputs, dtype, way, seed + 2), factor_for(rows, seed)
    expected = (g.double() * factor[:, None]).t() @ a.double()
    a[::6], g[3::6] = torch.nan, torch.inf
    # zeros of another piece follow: a tile must not write behind the total
    room = torch.zeros(expected.numel() + 300, dtype=torch.float64)
    total = room[: expected.numel()].fill_(1.0)
    reductions.add_outer(total, rows_of(a), rows_of(g), factor)
    torch.testing.assert_close(
        total.view(expected.shape), 1.0 + expected, rtol=0.0, atol=1e-12 * rows
    )
    assert not room[expected.numel() :].any()


@given(**shapes, outputs=st.integers(1, 23), bias=st.booleans())
def test_outer_squares_are_products_of_norms(rows, width, dtype, way, seed, outputs, bias):
    a, g = lying(rows, width, dtype, way, seed), lying(rows, outputs, dtype, way, seed + 2)
    expected = (square_norms(a) + float(bias)) * square_norms(g)
    torch.testing.assert_close(
        reductions.outer_squares(rows_of(a), rows_of(g), bias=bias), expected, rtol=1e-13, atol=0.0
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_a_value_that_is_not_finite_reaches_the_norm(dtype, bad):
    a, g = torch.ones(5, 37, dtype=dtype), torch.ones(5, 9, dtype=dtype)
    a[1, 36], g[2, 8] = bad, bad
    finite = [True, False, False, True, True]
    assert reductions.outer_squares(rows_of(a), rows_of(g), bias=True).isfinite().tolist() == finite
    assert square_norms(a).isfinite().tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("width", [1, 7, 30, 64, 257])
def test_a_rows_norm_has_the_same_bits_in_every_place(width):
    row = torch.randn(1, width, generator=torch.Generator().manual_seed(3))
    norms = square_norms(row.expand(40, width).contiguous())
    assert torch.equal(norms, norms[:1].expand(40))


@pytest.mark.parametrize("dtype", DTYPES)
def test_compiled_sums_are_those_of_plain_python_and_of_the_devices_operations(monkeypatch, dtype):
    a, g = lying(13, 37, dtype, "close", 5), lying(13, 9, dtype, "close", 6)
    factor = factor_for(13, 5)

    def found():
        totals = torch.zeros(3, 37, dtype=torch.float64)
        product = torch.zeros(9 * 37, dtype=torch.float64)
        few = torch.zeros(2 * 37, dtype=torch.float64)
        totals[0] = square_norms(a).sum()
        reductions.add_weighted(totals[1], rows_of(a), factor)
        totals[2] = reductions.outer_squares(rows_of(a), rows_of(g), bias=True).sum()
        reductions.add_outer(product, rows_of(a), rows_of(g), factor)
        reductions.add_outer(few, rows_of(a), rows_of(g[:, :2]), factor)
        square = square_norms(a)
        clipped = reductions.factors(square, 2 * square, 1e-3, (0.5, 100.0))
        return [totals, product, few, clipped]

    compiled = found()
    with monkeypatch.context() as patched:
        for name in ("square_norms", "add_weighted", "outer_squares", "add_few", "add_outer"):
            patched.setattr(sum_loops, name, getattr(sum_loops, name).py_func)
        plain = found()
    monkeypatch.setattr(reductions, "_compiled_here", lambda _rows: False)
    on_a_device = found()
    for one, two, three in zip(compiled, plain, on_a_device, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one, three, rtol=1e-12, atol=1e-12)


def by_definition(square, mass_square, slack, clip_norm, most):
    bound = max(square + slack * mass_square, mass_square / most)
    if bound != bound or square != square or mass_square != mass_square:
        return 0.0
    return 1.0 if bound == 0.0 else min(1.0, clip_norm / bound**0.5)


norms = st.floats(min_value=0.0) | st.just(float("nan"))


@given(st.lists(st.tuples(norms, norms), min_size=1, max_size=20), st.sampled_from([1e-9, 1.0]))
def test_factors_are_their_definition_and_zero_for_what_is_not_finite(pairs, slack):
    square, mass_square = (
        torch.tensor(each, dtype=torch.float64) for each in zip(*pairs, strict=True)
    )
    found = reductions.factors(square, mass_square, slack, (0.7, 128.0**2))
    expected = [by_definition(s, m, slack, 0.7, 128.0**2) for s, m in pairs]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-15)
