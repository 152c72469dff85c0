import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from misc.bits.arithmetic.exact_net import Conv2d, ExactNet, PixelShuffle, Relu, accumulator, exact_matmul, requantise

LIMIT = 1 << 19


def layer(seed: int = 0, inputs: int = 24, outputs: int = 16, k: int = 3, weight: int = 4000) -> Conv2d:
    draw = np.random.default_rng(seed)
    return Conv2d(
        draw.integers(-weight, weight, (outputs, inputs, k, k)),
        draw.integers(-(2**20), 2**20, outputs),
        12,
        LIMIT,
        LIMIT,
    )


def activations(shape: tuple[int, ...], size: int = LIMIT, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(-size, size, shape).astype(np.float64)


def test_equals_integer_arithmetic() -> None:
    conv, x = layer(), activations((2, 24, 7, 9))
    sums = torch.nn.functional.conv2d(
        torch.from_numpy(x).long(), torch.from_numpy(conv.weight), torch.from_numpy(conv.bias), padding=1
    )
    expected = torch.div(sums + 2048, 4096, rounding_mode="floor").clamp(-LIMIT, LIMIT)
    assert np.array_equal(conv(x), expected.numpy())


def test_order_of_summation_does_not_matter() -> None:
    conv, x = layer(), activations((1, 24, 6, 6))
    order = np.random.default_rng(2).permutation(24)
    shuffled = Conv2d(conv.weight[:, order], conv.bias, conv.shift, conv.limit, conv.input_limit)
    assert np.array_equal(conv(x), shuffled(x[:, order]))


def test_batch_does_not_matter() -> None:
    conv, x = layer(), activations((8, 24, 6, 10))
    assert np.array_equal(conv(x), np.concatenate([conv(each[None]) for each in x]))


def test_blocks_of_rows_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = layer(), activations((1, 24, 11, 6))
    whole = conv(x)
    monkeypatch.setattr("misc.bits.arithmetic.exact_net.MAX_COLUMNS", 24 * 9 * 6 * 2)
    assert np.array_equal(conv(x), whole)


def test_some_positions_get_what_they_get_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, x = layer(), activations((2, 24, 11, 6))
    mask = np.random.default_rng(4).integers(0, 2, (11, 6)) > 0
    assert np.array_equal(conv.at(x, mask), conv(x)[:, :, mask])
    monkeypatch.setattr("misc.bits.arithmetic.exact_net.MAX_COLUMNS", 2 * 24 * 9 * 7)
    assert np.array_equal(conv.at(x, mask), conv(x)[:, :, mask])
    assert conv.at(x, np.zeros((11, 6), np.bool_)).shape == (2, 16, 0)


def test_float32_and_float64_agree_below_the_bound() -> None:
    draw = np.random.default_rng(3)
    a, b = draw.integers(-127, 128, (64, 512)), draw.integers(-127, 128, (512, 33))
    bound = 127 * 127 * 512
    assert accumulator(bound) is np.float32
    single = exact_matmul(a.astype(float), b.astype(float), bound)
    double = exact_matmul(a.astype(float), b.astype(float), 2.0**30)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert np.array_equal(single, double)
    assert np.array_equal(single, a @ b)


def test_bounds_choose_the_type_and_refuse() -> None:
    assert accumulator(2**24 - 1) is np.float32
    assert accumulator(2**24) is np.float64
    with pytest.raises(OverflowError, match="2\\^53"):
        accumulator(2.0**53)
    with pytest.raises(OverflowError):
        layer(weight=1 << 40)


def test_requantise_rounds_half_up() -> None:
    assert requantise(np.array([-6.0, -2, 2, 5, 6, 99]), 2, 8).tolist() == [-1, 0, 1, 1, 2, 8]
    big = np.array([2.0**51 - 1])
    assert requantise(big, 1, 2**52).tolist() == [2.0**50]


def test_pixel_shuffle_is_torchs() -> None:
    x = activations((2, 12, 3, 5))
    assert np.array_equal(PixelShuffle(2)(x), torch.nn.PixelShuffle(2)(torch.from_numpy(x)).numpy())


def test_relu_and_composition() -> None:
    conv, x = layer(), activations((1, 24, 4, 4))
    assert np.array_equal(ExactNet([conv, Relu()])(x), np.maximum(conv(x), 0))


def test_wrong_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="24 channels"):
        layer()(activations((1, 23, 4, 4)))


DIGEST = """
import hashlib, numpy as np
from tests.bits.arithmetic.test_exact_net import activations, layer
print(hashlib.sha256(layer()(activations((1, 24, 40, 40)))).hexdigest())
"""


@pytest.mark.slow(why="each kernel of OpenBLAS needs a process of its own")
def test_threads_and_processors_do_not_matter() -> None:
    """The same result in processes with 1 and 2 threads and with other BLAS kernels."""
    variations = [{"OPENBLAS_NUM_THREADS": n, "OMP_NUM_THREADS": n} for n in ("1", "2")]
    variations += [{"OPENBLAS_CORETYPE": core} for core in ("Haswell", "Prescott", "Zen")]
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST], env=os.environ | change, capture_output=True, text=True, check=True
        ).stdout
        for change in variations
    }
    assert len(digests) == 1
