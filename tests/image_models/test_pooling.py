"""Pooling against loops in float64, closed forms and numerical gradients."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from image_models.networks.pooling import (
    P_RANGE,
    SMALLEST_FEATURE,
    AttendedAverage,
    MapAverage,
    MultiScaleGeM,
    TokenAverage,
    windowed_gem,
)


def loop_gem(maps: np.ndarray, p: float, kernel: int) -> np.ndarray:
    """Windowed generalised mean, one window at a time, straight from its definition."""
    result = np.zeros_like(maps)
    reach = kernel // 2
    for n, c, i, j in itertools.product(*map(range, maps.shape)):
        window = maps[n, c, max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
        result[n, c, i, j] = np.mean(np.maximum(window, SMALLEST_FEATURE) ** p) ** (1 / p)
    return result


@settings(max_examples=30, deadline=None)
@given(
    p=st.floats(*P_RANGE),
    kernel=st.sampled_from([1, 3, 5]),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    scale=st.sampled_from([1e-4, 1.0, 300.0]),
    seed=st.integers(0, 1000),
)
def test_windowed_gem_equals_a_loop(p: float, kernel: int, height: int, width: int, scale: float, seed: int) -> None:
    maps = scale * np.random.default_rng(seed).normal(size=(2, 3, height, width))
    expected = loop_gem(maps, p, kernel)
    exact = windowed_gem(torch.from_numpy(maps), torch.tensor(p, dtype=torch.float64), kernel)
    np.testing.assert_allclose(exact, expected, rtol=1e-10)
    single = windowed_gem(torch.from_numpy(maps).float(), torch.tensor(p), kernel)
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=5e-5 * max(maps.max(), SMALLEST_FEATURE))


def test_p_of_one_is_the_average_of_what_the_window_covers() -> None:
    maps = torch.rand(2, 3, 6, 5, dtype=torch.float64)
    expected = torch.nn.functional.avg_pool2d(maps, 5, stride=1, padding=2, count_include_pad=False)
    torch.testing.assert_close(windowed_gem(maps, torch.tensor(1.0, dtype=torch.float64), 5), expected)


def test_constant_maps_keep_their_value_for_every_p() -> None:
    pool = MultiScaleGeM()
    for p in (1.0, 3.0, 8.0):
        torch.nn.init.constant_(pool.p, p)
        torch.testing.assert_close(pool(torch.full((2, 4, 7, 7), 2.5)), torch.full((2, 4), 2.5))


def test_multi_scale_is_the_weighted_sum_over_kernels() -> None:
    pool = MultiScaleGeM((3, 5)).double()
    with torch.no_grad():
        pool.p.copy_(torch.tensor([2.0, 4.5], dtype=torch.float64))
        pool.weight.copy_(torch.tensor([0.3, 1.7], dtype=torch.float64))
    maps = np.random.default_rng(0).normal(size=(2, 3, 6, 6))
    expected = sum(w * loop_gem(maps, p, k).mean((2, 3)) for k, p, w in ((3, 2.0, 0.3), (5, 4.5, 1.7)))
    np.testing.assert_allclose(pool(torch.from_numpy(maps)).detach(), expected, rtol=1e-10)


def test_gradients_of_maps_p_and_weights() -> None:
    pool = MultiScaleGeM((3, 5)).double()
    maps = (torch.rand(1, 2, 4, 3, dtype=torch.float64) + 0.05).requires_grad_()
    p = torch.tensor([2.5, 4.0], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([0.4, 0.9], dtype=torch.float64, requires_grad=True)

    def pooled(maps: torch.Tensor, p: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(pool, {"p": p, "weight": weight}, (maps,))

    assert torch.autograd.gradcheck(pooled, (maps, p, weight))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("value", [6e4, 1.0, 1e-3, 0.0, -5.0])
def test_low_precision_neither_overflows_nor_rounds_what_is_pooled(dtype: torch.dtype, value: float) -> None:
    pool = MultiScaleGeM()
    torch.nn.init.constant_(pool.p, P_RANGE[1])
    maps = torch.full((1, 2, 7, 7), value, dtype=dtype)
    maps[0, 0, 3, 3] = 0
    maps.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pooled = pool(maps)
    pooled.sum().backward()
    assert pooled.dtype == torch.float32
    assert torch.isfinite(pooled).all()
    assert all(torch.isfinite(tensor.grad).all() for tensor in (maps, pool.p, pool.weight))


def test_autocast_does_not_change_float32_maps() -> None:
    pool, maps = MultiScaleGeM(), torch.rand(2, 3, 7, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = pool(maps)
    torch.testing.assert_close(low, pool(maps), rtol=0, atol=0)


def test_p_outside_its_range_counts_as_the_bound() -> None:
    pool, maps = MultiScaleGeM(), torch.rand(1, 2, 7, 7)
    torch.nn.init.constant_(pool.p, P_RANGE[1])
    bound = pool(maps)
    torch.nn.init.constant_(pool.p, 1e6)
    torch.testing.assert_close(pool(maps), bound, rtol=0, atol=0)


@pytest.mark.parametrize("kernels", [(), (2,), (3, 0)])
def test_refuses_windows_without_a_centre(kernels: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="odd window sizes"):
        MultiScaleGeM(kernels)


def test_averages() -> None:
    maps = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(MapAverage()(maps), maps.mean((2, 3)))
    tokens = torch.rand(2, 9, 6)
    tokens[:, :2] = float("nan")
    torch.testing.assert_close(TokenAverage(2)(tokens), tokens[:, 2:].mean(1))


def test_attended_average_is_its_formula_place_by_place() -> None:
    torch.manual_seed(0)
    pool = AttendedAverage(6, prefix_tokens=1).double()
    for parameter in pool.parameters():
        torch.nn.init.normal_(parameter, 0, 0.5)
    tokens = torch.randn(2, 5, 6).double()
    wanted = torch.zeros(2, 6).double()
    with torch.no_grad():
        for lesion, place in itertools.product(range(2), range(1, 5)):
            asking = pool.norm(tokens[lesion, place])
            asked = pool.norm(tokens[lesion, 1:])
            query, keys, values = pool.attention.query(asking), pool.attention.key(asked), pool.attention.value(asked)
            answers = []
            for q, k, v in zip(
                query.chunk(pool.attention.heads),
                keys.chunk(pool.attention.heads, 1),
                values.chunk(pool.attention.heads, 1),
                strict=True,
            ):
                answers.append(torch.softmax(k @ q / len(q) ** 0.5, 0) @ v)
            wanted[lesion] += (tokens[lesion, place] + pool.attention.out(torch.cat(answers))) / 4
        torch.testing.assert_close(pool(tokens), wanted)
        moved = tokens.clone()
        moved[:, 0] = 100.0
        assert torch.equal(pool(moved), pool(tokens))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_what_is_pooled_is_exact_whatever_the_backbone_computes_in(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    maps = (torch.rand(2, 8, 7, 7) + 0.1).to(dtype)
    tokens = maps.flatten(2).mT
    for pool, features in ((MultiScaleGeM(), maps), (MapAverage(), maps), (TokenAverage(), tokens)):
        found, wanted = pool(features), pool.double()(features.double())
        assert found.dtype == torch.float32
        assert ((found - wanted).abs() / wanted).max() < 1e-6
    assert AttendedAverage(8).to(dtype)(tokens).dtype == torch.float32
