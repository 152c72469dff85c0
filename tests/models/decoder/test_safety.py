"""Pickled weights run nothing; HED is loaded once; offloading ends however drawing ends."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from controlnet_aux.hed import ControlNetHED_Apache2
from diffusers import AutoencoderKL

from misc.errors import WeightsError
from misc.models.decoder import edges as edges_module
from misc.models.decoder.decoder import Decoder
from misc.models.decoder.edges import HED, edges, load_hed
from misc.models.decoder.pickles import load_pickle
from misc.models.decoder.weights import PICKLE, load_network
from tests.support.pickles import Trap


def test_a_pickle_that_wants_more_than_tensors_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2), "trap": Trap(tmp_path / "sprung")}, tmp_path / "net.bin")
    with pytest.raises(
        WeightsError, match=r"net\.bin is a pickle that wants .*pathlib\.Path.*, more than tensors: refused"
    ):
        load_pickle(tmp_path / "net.bin")
    torch.save({"trap": Trap(tmp_path / "sprung")}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match=r"old\.pth is .*more than tensors: refused"):
        load_pickle(tmp_path / "old.pth")
    (tmp_path / "bare.bin").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(WeightsError, match=r"bare\.bin is .*more than tensors: refused"):
        load_pickle(tmp_path / "bare.bin")
    assert not (tmp_path / "sprung").exists()
    (tmp_path / "net.bin").write_bytes(b"no pickle")
    with pytest.raises(WeightsError, match=r"net\.bin"):
        load_pickle(tmp_path / "net.bin")
    with pytest.raises(WeightsError, match="missing"):
        load_pickle(tmp_path / "none.bin")


def test_networks_in_pickles_are_read_as_tensors(tmp_path: Path) -> None:
    net = AutoencoderKL(block_out_channels=(32,), latent_channels=2, norm_num_groups=8)
    net.save_config(tmp_path)
    torch.save(net.state_dict(), tmp_path / PICKLE)
    again = load_network(AutoencoderKL, tmp_path, "", torch.float32)
    for name, value in net.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    torch.save(dict(list(net.state_dict().items())[1:]), tmp_path / PICKLE)
    with pytest.raises(WeightsError, match="damaged"):
        load_network(AutoencoderKL, tmp_path, "", torch.float32)
    torch.save(net.state_dict() | {"trap": Trap(tmp_path / "sprung")}, tmp_path / PICKLE)
    with pytest.raises(WeightsError, match="refused"):
        load_network(AutoencoderKL, tmp_path, "", torch.float32)
    assert not (tmp_path / "sprung").exists()


def test_hed_is_loaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(ControlNetHED_Apache2().state_dict(), tmp_path / HED)
    reads: list[Path] = []

    def count(path: Path) -> dict[str, object]:
        reads.append(path)
        return load_pickle(path)

    monkeypatch.setattr(edges_module, "load_pickle", count)
    load_hed.cache_clear()
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    first, second = (edges("hed", picture, tmp_path) for _ in range(2))
    assert first.shape == picture.shape
    assert np.array_equal(first, second)
    assert reads == [tmp_path / HED]
    load_hed.cache_clear()
    torch.save({"trap": Trap(tmp_path / "sprung")}, tmp_path / HED)
    with pytest.raises(WeightsError, match="refused"):
        edges("hed", picture, tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_offloading_ends_when_drawing_fails() -> None:
    places: list[str] = []
    net = SimpleNamespace(to=lambda device: places.append(str(device)))
    decoder = Decoder.__new__(Decoder)
    decoder.offload, decoder.device = True, torch.device("meta")
    with pytest.raises(KeyboardInterrupt), decoder._at_work(net):
        raise KeyboardInterrupt
    assert places == ["meta", "cpu"]
