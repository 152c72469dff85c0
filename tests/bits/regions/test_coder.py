import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import misc
from misc.bits import container, streams
from misc.bits.pixels import entropy_model
from misc.bits.regions import coder as regions
from misc.bits.regions.coder import pack, unpack
from misc.bits.regions.maps import GRIDS, RegionMaps, grid_shape, grid_shapes
from misc.bits.text.description import Description, Item
from misc.errors import BitstreamError, InputError
from tests.golden.make import BLOBS, FOLDER, MODEL, TEXT, drawn, noise

SIDES = st.one_of(st.integers(1, 3000), st.sampled_from([1, 65_535]))


@st.composite
def pictures(draw: st.DrawFn) -> tuple[RegionMaps, int, int]:
    """Maps of any density, smooth or not, with the picture's width and height."""
    width, height = draw(SIDES), draw(SIDES)
    rows, columns = grid_shape(width, height, draw(st.sampled_from(GRIDS[: 2 if max(width, height) > 2000 else None])))
    count, density, smooth = draw(st.integers(0, 16)), draw(st.floats(0, 1)), draw(st.integers(1, 6))
    noise = np.random.default_rng(draw(st.integers(0, 99))).random((count, -(-rows // smooth), -(-columns // smooth)))
    masks = np.kron(noise < density, np.ones((1, smooth, smooth), np.bool_))[:, :rows, :columns]
    return RegionMaps(np.ascontiguousarray(masks)), width, height


@settings(max_examples=60)
@given(pictures(), st.booleans())
def test_unpack_inverts_pack(picture: tuple[RegionMaps, int, int], with_text: bool) -> None:
    maps, width, height = picture
    items = len(maps.masks) if with_text else 0
    data = pack(maps, width, height, items)
    assert len(data) <= 1 + -(-maps.masks.size // 8)
    assert np.array_equal(unpack(data, width, height, items).masks, maps.masks)


@given(arrays(np.bool_, (2, 4, 5)))
def test_every_small_map_comes_back(masks: np.ndarray) -> None:
    data = pack(RegionMaps(masks), 600, 480)
    assert len(data) <= 6
    assert np.array_equal(unpack(data, 600, 480).masks, masks)


@settings(max_examples=200)
@given(st.binary(max_size=80), SIDES, SIDES, st.integers(0, 16))
def test_any_bytes_are_maps_or_damaged(data: bytes, width: int, height: int, items: int) -> None:
    try:
        maps = unpack(data, width, height, items)
    except BitstreamError:
        return
    count, *shape = maps.masks.shape
    assert count <= 16
    assert items in (0, count)
    assert tuple(shape) in grid_shapes(width, height)


@pytest.mark.parametrize("first", range(249, 256))
def test_first_bytes_at_the_border_of_raw_cells(first: int) -> None:
    for rest in (b"", b"\0" * 24, b"\xff" * 23 + b"\xfe", b"\xff" * 24):
        try:
            assert len(unpack(bytes([first]) + rest, 512, 512, 3).masks) == 3
        except BitstreamError:
            continue


def test_raw_cells_have_their_length_and_no_bits_behind() -> None:
    noisy = RegionMaps(noise(3, 4, 5).masks[2:])  # 20 cells: 4 bits of its last byte are free
    raw = bytes([252]) + np.packbits(noisy.masks).tobytes()
    assert np.array_equal(unpack(raw, 500, 400).masks, noisy.masks)
    assert np.array_equal(unpack(raw, 500, 400, 1).masks, noisy.masks)
    with pytest.raises(BitstreamError, match="last cell"):
        unpack(raw[:-1] + bytes([raw[-1] | 1]), 500, 400)
    for wrong, items in ((raw + b"\0", 0), (raw[:-1], 0), (raw, 2), (b"\xff" + b"\0" * 680, 0)):
        with pytest.raises(BitstreamError, match="length"):
            unpack(wrong, 500, 400, items)


@pytest.mark.parametrize(
    ("width", "height", "shapes"),
    [
        (512, 512, [(4, 4), (8, 8), (12, 12), (16, 16)]),
        (768, 512, [(4, 6), (8, 12), (12, 18), (16, 24)]),
        (427, 640, [(6, 4), (12, 8), (18, 12), (24, 16)]),
        (1, 65_535, [(16, 4), (32, 8), (48, 12), (64, 16)]),
    ],
)
def test_grids_follow_the_aspect(width: int, height: int, shapes: list[tuple[int, int]]) -> None:
    assert grid_shapes(width, height) == shapes


@pytest.mark.parametrize("value", [False, True])
@pytest.mark.parametrize("items", [1, 3, 16])
def test_empty_and_full_masks_cost_next_to_nothing(value: bool, items: int) -> None:
    maps = RegionMaps(np.full((items, 16, 64), value))
    assert len(pack(maps, 4000, 500, items)) <= 1 + items // 6 + 1


def test_blobs_cost_a_fraction_of_their_cells() -> None:
    data = pack(BLOBS, 1024, 1024, 3)
    assert len(data) == 11  # 24 raw
    again = RegionMaps(np.concatenate([BLOBS.masks, BLOBS.masks]))
    assert len(pack(again, 1024, 1024)) <= 26


def test_one_cell() -> None:
    maps = drawn(".... .#.. .... ....")
    assert len(pack(maps, 100, 100)) <= 3
    assert np.array_equal(unpack(pack(maps, 100, 100), 100, 100).masks, maps.masks)


def test_maps_that_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"8x8 cells do not fit an image of 768x512: it has 4x6, 8x12, 12x18, 16x24"):
        pack(BLOBS, 768, 512)
    with pytest.raises(InputError, match="3 region maps for the text's 2 items"):
        pack(BLOBS, 512, 512, 2)
    with pytest.raises(InputError, match="at most 16"):
        RegionMaps(np.zeros((17, 8, 8), np.bool_))
    with pytest.raises(InputError, match="truth values"):
        RegionMaps(np.zeros((1, 8, 8), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="truth values"):
        RegionMaps(np.zeros((8, 8), np.bool_))
    with pytest.raises(InputError, match="rows and columns"):
        RegionMaps(np.zeros((1, 8, 65), np.bool_))


def test_symbols_tell_maps_apart() -> None:
    empty = [RegionMaps(np.zeros(shape, np.bool_)).symbols() for shape in ((1, 8, 8), (2, 8, 4), (2, 4, 8), (0, 8, 8))]
    assert len(set(empty)) == 4
    assert BLOBS.symbols()[:11].hex() == "03080800181818183c3c00"


def test_tables_have_their_size_and_range() -> None:
    assert [len(table) for table in regions.TABLES] == [256, 64, 64, 100, 96, 16 * len(GRIDS)]
    assert all(-127 <= entry <= 127 for table in regions.TABLES for entry in table)
    assert regions.cell_table(0).frequencies.tolist() == [1 << 23, 1 << 23]
    assert regions.cell_table(16).frequencies.tolist() == [4512089, 12265127]  # e / (1 + e) of 2^24
    assert regions.cell_table(-16).frequencies.tolist() == [12265127, 4512089]
    assert regions.cell_table(999).frequencies.tolist() == regions.cell_table(127).frequencies.tolist()


def test_the_text_says_how_many_maps_there_are() -> None:
    model = streams.ExactModels(entropy_model.load(MODEL))
    sizes = {}
    for text in (None, Description("no items"), TEXT):
        content = streams.Streams(512, 512, 0, text, BLOBS)
        data = streams.encode(content, model)
        again = streams.decode(data, model)
        assert again.text == text
        assert again.regions is not None
        assert np.array_equal(again.regions.masks, BLOBS.masks)
        sizes[text] = len(container.read(data)[1]["regions"].payload)
    assert sizes[TEXT] <= sizes[None] == sizes[Description("no items")]
    two = Description("two", (Item("a"), Item("b")))
    with pytest.raises(InputError, match="2 items"):
        streams.encode(streams.Streams(512, 512, 0, two, BLOBS), model)


def test_changed_maps_meet_the_symbols_check() -> None:
    data = (FOLDER / "text_regions.misc").read_bytes()
    header, sections = container.read(data)
    good = sections["regions"]
    model = streams.ExactModels(entropy_model.load(MODEL))
    noticed = missed = 0
    for bit in range(8 * len(good.payload)):
        payload = bytearray(good.payload)
        payload[bit // 8] ^= 1 << bit % 8
        section = container.Section(bytes(payload), good.check)
        changed = container.write(header, sections | {"regions": section})
        try:
            content = streams.decode(changed, model)
        except BitstreamError:
            noticed += 1
            assert streams.decode(changed, model, partial=True).regions is None
        else:  # the last bits may be free, and an eight-bit check misses one change in 256
            assert content.regions is not None
            missed += not np.array_equal(content.regions.masks, BLOBS.masks)
    assert noticed >= 8 * (len(good.payload) - 1)
    assert missed <= 2


def test_cut_files_keep_their_maps_when_asked() -> None:
    data = (FOLDER / "all.misc").read_bytes()
    payload = container.read(data)[1]["regions"].payload
    end = data.index(payload) + len(payload) + 1
    content = streams.decode(data[:end], streams.ExactModels(entropy_model.load(MODEL)), partial=True)
    assert (content.text, content.pixels) == (TEXT, None)
    assert content.regions is not None
    assert np.array_equal(content.regions.masks, BLOBS.masks)
    content = streams.decode(data[: end - 2], streams.ExactModels(entropy_model.load(MODEL)), partial=True)
    assert (content.text, content.regions, content.pixels) == (TEXT, None, None)


def test_a_fit_writes_tables_of_this_shape() -> None:
    from misc.train.regions import contexts_of, fit, module_text

    contexts, values = contexts_of([BLOBS, noise(3, 4, 6)])
    assert contexts.shape == (3 * 64 + 24, 6)  # empty and full masks have no cells to code
    assert values[:64].tolist() == BLOBS.masks[0].ravel().tolist()
    tables, bits = fit(contexts, values, decay=0.5, steps=20)
    assert 0.1 < bits < 0.7
    written: dict[str, tuple[int, ...]] = {}
    exec(module_text(tables), written)
    names = ("NEAR", "ROW", "COLUMN", "BORDER", "EARLIER", "SCALE")
    assert [len(written[name]) for name in names] == [len(table) for table in regions.TABLES]
    assert {name: list(written[name]) for name in names} == tables


def test_other_codecs_stand_beside() -> None:
    from misc.eval.regions import compare

    figures = compare([BLOBS, RegionMaps(np.zeros_like(BLOBS.masks))])
    assert figures["raw"] == {"mean": 192, "max": 192, "over_raw": 0}
    assert figures["MISC, with text"]["max"] == 88
    assert figures["MISC"]["mean"] < figures["CCITT G4, bare"]["mean"] < figures["PNG"]["mean"]


ANOTHER_GRID = """
import numpy as np
from misc.bits.regions import coder, maps
assert maps.GRIDS == (4, 8, 12, 16, 24), maps.GRIDS
assert sum(coder.GRID_KINDS) == 256 and coder.GRID_KINDS[-1] == 5
for grid in maps.GRIDS:
    shape = maps.grid_shape(768, 512, maps.check_grid(grid))
    for share in (0.0, 0.02, 0.5, 1.0):
        masks = np.random.default_rng(grid).random((3, *shape)) < share
        data = coder.pack(maps.RegionMaps(masks), 768, 512)
        assert np.array_equal(coder.unpack(data, 768, 512).masks, masks)
"""


def test_another_grid_is_one_constant(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "models", "train", "eval", "checkpoints")
    shutil.copytree(Path(misc.__path__[0]), tmp_path / "misc", ignore=ignored)
    source = tmp_path / "misc" / "bits" / "regions" / "maps.py"
    text = source.read_text()
    source.write_text(text.replace("16: 36}", "16: 36, 24: 20}"))
    assert source.read_text() != text
    subprocess.run([sys.executable, "-c", ANOTHER_GRID], check=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
