"""Products of a linear layer: equal to torch's own in float64, whichever library computes them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixgrid.products import by_input, linear, linear_add, outer

SIZES = st.integers(1, 150)


@settings(deadline=None, max_examples=60)
@given(rows=SIZES, width=SIZES, out=SIZES, turned=st.booleans())
def test_products_are_those_of_float64(rows: int, width: int, out: int, turned: bool) -> None:
    random = torch.Generator().manual_seed(rows)
    x_TH, rest_TK = (torch.randn(rows, size, generator=random) for size in (width, out))
    weight_KH = torch.randn(width, out, generator=random).t() if turned else torch.randn(out, width, generator=random)
    expected_TK = x_TH.double() @ weight_KH.double().t()
    torch.testing.assert_close(linear(x_TH, weight_KH).double(), expected_TK, rtol=1e-4, atol=1e-4)
    sum_TK = linear_add(rest_TK, x_TH, weight_KH)
    torch.testing.assert_close(sum_TK.double(), rest_TK.double() + expected_TK, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [3, 400])
def test_equal_arguments_give_equal_bytes_and_stay_as_they_are(rows: int) -> None:
    x_TH, weight_KH, rest_TK = torch.randn(rows, 80), torch.randn(96, 80), torch.randn(rows, 96)
    before = rest_TK.clone()
    first = linear_add(rest_TK, x_TH, weight_KH)
    assert torch.equal(first, linear_add(rest_TK, x_TH, weight_KH))
    assert torch.equal(rest_TK, before)
    assert linear(x_TH.double(), weight_KH.double()).dtype == torch.float64


@settings(deadline=None, max_examples=60)
@given(rows=SIZES, width=SIZES, out=SIZES)
def test_outer_is_that_of_float64_and_lies_in_memory_as_by_input_says(rows: int, width: int, out: int) -> None:
    random = torch.Generator().manual_seed(rows)
    dy_TK, x_TH = (torch.randn(rows, size, generator=random) for size in (out, width))
    gradient_KH = outer(dy_TK, x_TH)
    torch.testing.assert_close(gradient_KH.double(), dy_TK.double().t() @ x_TH.double(), rtol=1e-4, atol=1e-4)
    assert (gradient_KH.t() if by_input(out, width) else gradient_KH).is_contiguous()
