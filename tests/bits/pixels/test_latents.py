import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from misc.bits.arithmetic.range_coder import TOTAL
from misc.bits.pixels.entropy_model import LatentModel, quality_weights, symmetric_table
from misc.bits.pixels.latents import PixelLatents, pack, shapes, unpack
from misc.errors import BitstreamError, InputError, WeightsError
from misc.models.hyperprior.hyperprior import Hyperprior
from misc.models.hyperprior.integers import exact_arrays, gaussian_frequencies
from tests.support.models import random_latents, tiny_hyperprior

MODEL = LatentModel(exact_arrays(tiny_hyperprior()))


def equal(a: PixelLatents, b: PixelLatents) -> bool:
    return a.quality == b.quality and np.array_equal(a.y, b.y) and np.array_equal(a.z, b.z)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 999), st.floats(0, 50), st.integers(0, 255))
def test_unpack_inverts_pack(width: int, height: int, seed: int, spread: float, quality: int) -> None:
    latents = random_latents(MODEL, width, height, seed, spread, quality)
    assert equal(unpack(pack(latents, MODEL), width, height, MODEL), latents)


def test_escapes_carry_what_no_table_holds() -> None:
    latents = random_latents(MODEL, 96, 96, spread=9000)
    data = pack(latents, MODEL)
    assert equal(unpack(data, 96, 96, MODEL), latents)
    assert np.abs(latents.y).max() > 64 * 20_000


def test_rounding_is_to_the_nearest_around_the_mean() -> None:
    draw = np.random.default_rng(0)
    y, z = draw.normal(0, 5, (MODEL.y_channels, 4, 4)), draw.normal(0, 5, (MODEL.z_channels, 2, 2))
    from misc.bits.pixels.latents import quantise

    latents = quantise(y, z, 30, MODEL)
    assert np.abs(latents.y / 64 - y).max() <= 0.5
    assert np.abs(latents.z - z).max() <= 0.5


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=80), st.integers(1, 100), st.integers(1, 100))
def test_any_bytes_decode_or_fail_cleanly(data: bytes, width: int, height: int) -> None:
    try:
        latents = unpack(data, width, height, MODEL)
    except BitstreamError:
        return
    assert latents.y.shape[1:] == shapes(width, height)[0]


def test_foreign_latents_are_refused() -> None:
    latents = random_latents(MODEL, 64, 64)
    with pytest.raises(InputError, match="not of this model"):
        pack(PixelLatents(latents.quality, latents.z, latents.y + 1), MODEL)


def test_missing_tensors_are_named(hyperprior: Hyperprior) -> None:
    arrays = exact_arrays(hyperprior)
    del arrays["slices.1.context.0.bias"]
    with pytest.raises(WeightsError, match=r"slices\.1\.context\.0\.bias"):
        LatentModel(arrays)


def test_a_slice_depends_on_the_slices_before_and_on_its_own_anchors() -> None:
    first, second = MODEL.slices
    assert [part.channels for part in MODEL.slices] == [slice(0, 2), slice(2, 6)]
    features = MODEL.features(np.zeros((MODEL.z_channels, 2, 2), np.int32), 100, (4, 4))
    y = np.zeros((MODEL.y_channels, 4, 4), np.int32)
    y[0] = y[2] = 300
    nothing = np.zeros_like(y)
    assert np.array_equal(first.known(features, y), features)
    assert not np.array_equal(second.known(features, y), second.known(features, nothing))
    everywhere = np.ones((4, 4), np.bool_)
    for part in (first, second):
        seen, unseen = (part.other_parameters(features, each, everywhere)[0] for each in (y, nothing))
        assert not np.array_equal(seen, unseen)


def test_fingerprints_follow_the_model() -> None:
    assert MODEL.checksum == LatentModel(exact_arrays(tiny_hyperprior())).checksum
    assert MODEL.checksum != LatentModel(exact_arrays(tiny_hyperprior(1))).checksum


def test_quality_weights_are_hats() -> None:
    assert quality_weights(0).tolist() == [1024, 0, 0, 0, 0, 0, 0, 0]
    assert quality_weights(255).tolist() == [0, 0, 0, 0, 0, 0, 0, 1024]
    assert all(abs(quality_weights(q).sum() - 1024) <= 1 for q in range(256))


def test_gaussian_tables_add_up_and_widen() -> None:
    rows = gaussian_frequencies().astype(np.int64)
    tables = [symmetric_table(row) for row in rows]
    assert all(table.frequencies.sum() == TOTAL for table in tables)
    assert all(np.array_equal(t.frequencies[:-1], t.frequencies[-2::-1]) for t in tables)
    assert np.all(np.diff(rows[:, 0]) < 0)


def test_sizes_in_latents() -> None:
    assert shapes(1, 1) == ((1, 1), (1, 1))
    assert shapes(768, 512) == ((16, 24), (8, 12))
    assert shapes(33, 65) == ((3, 2), (2, 1))
