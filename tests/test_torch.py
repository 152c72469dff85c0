import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import misc
import misc.pillow
from misc.bits.streams import Streams, encode
from misc.bits.text.description import Description, Item
from misc.codec import Codec
from misc.errors import BitstreamError, InputError, LimitError
from misc.profiles import load_profile
from misc.torch import MiscDataset, Record, codec_of
from tests.support.images import sample_picture

DESCRIPTION = Description("a red lighthouse", (Item("sea", "calm"),))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("files")
    (top / "b").mkdir()
    codec = Codec()
    for name, quality in (("a.misc", 60), ("b/c.misc", 120), ("d.misc", 200)):
        image = sample_picture(96, 64)
        (top / name).write_bytes(
            codec.encode(image, streams=["text", "pixels"], quality=quality, description=DESCRIPTION)
        )
    (top / "note.txt").write_text("no picture")
    return top


def to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def words(record: Record) -> str:
    assert record.text is not None
    return f"{record.path.name} {record.width}x{record.height}: {record.text.overall}"


def process(record: Record) -> int:
    return os.getpid()


def test_images_are_the_drafts_and_labels_the_places(folder: Path) -> None:
    dataset = MiscDataset(folder)
    assert [path.relative_to(folder).as_posix() for path in dataset.files] == ["a.misc", "b/c.misc", "d.misc"]
    for index, path in enumerate(dataset.files):
        image, label = dataset[index]
        draft = misc.decode(path.read_bytes(), draft=True)
        assert (image.mode, label) == ("RGB", index)
        assert np.array_equal(np.asarray(image), np.asarray(draft))
    assert dataset[-1][1] == 2
    with pytest.raises(IndexError):
        dataset[3]


def test_workers_decode_what_this_process_does(folder: Path) -> None:
    here = MiscDataset(folder, to_tensor)
    loader = DataLoader(here, batch_size=2, num_workers=2)
    images = torch.cat([batch for batch, _ in loader])
    difference = images.int() - torch.stack([here[index][0] for index in range(3)]).int()
    assert difference.abs().max() <= 2  # one thread in a worker, as many as there are here
    processes = {
        int(each) for _, labels in DataLoader(MiscDataset(folder, to_tensor, process), num_workers=2) for each in labels
    }
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_a_dataset_is_pickled_without_models(folder: Path) -> None:
    dataset = MiscDataset(folder, to_tensor, words, texts=True)
    image, label = dataset[1]
    data = pickle.dumps(dataset)
    assert len(data) < 5000
    again = pickle.loads(data)
    assert torch.equal(again[1][0], image)
    assert again[1][1] == label == "c.misc 96x64: a red lighthouse"


def test_texts_are_left_alone_unless_they_are_wanted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a text was decoded")

    monkeypatch.setattr("misc.bits.text.description.unpack", refuse)
    records = MiscDataset(folder, target=lambda record: record)
    assert records[0][1] == Record(0, folder / "a.misc", 96, 64)
    with pytest.raises(AssertionError, match="a text was decoded"):
        MiscDataset(folder, texts=True)[0]


def test_what_the_decoder_draws(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Streams] = []

    def draw(codec: Codec, content: Streams, *, draft: bool) -> Image.Image:
        seen.append(content)
        assert not draft
        return Image.new("RGB", (content.width, content.height))

    monkeypatch.setattr(Codec, "draw", draw)
    assert MiscDataset(folder, draft=False)[0][0].size == (96, 64)
    assert seen[0].text == DESCRIPTION
    assert seen[0].pixels is not None


def test_faults_name_the_file(folder: Path, tmp_path: Path) -> None:
    data = bytearray((folder / "a.misc").read_bytes())
    data[-3] ^= 1
    (tmp_path / "damaged.misc").write_bytes(data)
    text = encode(Streams(64, 64, text=DESCRIPTION), load_profile().exact_models)
    (tmp_path / "text.misc").write_bytes(text)
    with pytest.raises(BitstreamError, match=r"damaged\.misc: "):
        MiscDataset(tmp_path)[0]
    with pytest.raises(InputError, match=r"text\.misc: a file without pixels has no draft"):
        MiscDataset(tmp_path)[1]
    with pytest.raises(InputError, match=r"gone\.misc: No such file"):
        MiscDataset([tmp_path / "gone.misc"])[0]
    with pytest.raises(LimitError, match=r"a\.misc: "):
        MiscDataset(folder, max_pixels=1000)[0]


def test_one_file_is_a_dataset(folder: Path) -> None:
    path = sorted(folder.rglob("*.misc"))[0]
    assert MiscDataset(path).files == MiscDataset(str(path)).files == [path]


def test_a_dataset_of_nothing_is_refused(tmp_path: Path) -> None:
    for files in (tmp_path, tmp_path / "none", []):
        with pytest.raises(InputError):
            MiscDataset(files)


def test_a_forked_process_loads_its_own_models() -> None:
    assert codec_of("embedded", "cpu", 1000, 1) is codec_of("embedded", "cpu", 1000, 1)
    assert codec_of("embedded", "cpu", 1000, 1) is not codec_of("embedded", "cpu", 1000, 2)


def test_imageio_reads_and_writes_by_the_pillow_plugin(folder: Path, tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio.v3")
    path = folder / "b/c.misc"
    expected = np.asarray(misc.decode(path.read_bytes()))
    assert np.array_equal(imageio.imread(path), expected)
    assert imageio.improps(path, plugin="pillow").shape == (64, 96, 3)
    imageio.imwrite(tmp_path / "a.misc", expected, plugin="pillow", streams=["pixels"], quality=100)
    with Image.open(tmp_path / "a.misc") as image:
        assert image.info["sections"] == ["pixels"]
