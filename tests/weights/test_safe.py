"""Every loader of weights refuses every fault of its file with one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from misc.bits.pixels import entropy_model
from misc.bits.text.language_model import load_model
from misc.configs import build
from misc.errors import WeightsError
from misc.models.clip.embedded import ClipHeads, load_clip_heads
from misc.models.decoder.int8_weights import FILE, load_int8, save_int8
from misc.models.describer.network import load_describer
from misc.models.hyperprior.weights import load_hyperprior, save_hyperprior
from misc.models.language_model.integers import add_prefixes, write
from misc.models.towers.graph_model import GraphModel
from misc.models.towers.subjects import load_subjects
from misc.models.towers.text_features import load_text_tower
from misc.models.towers.vision import load_vision_tower
from misc.profiles import load_profile
from misc.weights.safe import load, refusing
from tests.support.language_models import CONFIG, tiny_arrays
from tests.support.models import tiny_hyperprior

Loader = Callable[[Path], Any]


def language_model_file(folder: Path) -> Path:
    arrays, facts = tiny_arrays()
    write(add_prefixes(CONFIG, arrays, facts, prefixes=(("a cat",), ("in the",))), folder / "model.safetensors")
    return folder / "model.safetensors"


def hyperprior_file(folder: Path) -> Path:
    save_hyperprior(tiny_hyperprior(), folder / "model.safetensors")
    return folder / "model.safetensors"


def clip_file(folder: Path) -> Path:
    save_file(build(ClipHeads, "clip-heads").state_dict(), folder / "model.safetensors")
    return folder / "model.safetensors"


def int8_file(folder: Path) -> Path:
    save_int8(AutoencoderKL(block_out_channels=(32,), latent_channels=2, norm_num_groups=8), folder)
    return folder / FILE


def shipped(name: str) -> Callable[[Path], Path]:
    """A copy of a file that comes along."""

    def copy(folder: Path) -> Path:
        part = getattr(load_profile(), name)
        return Path(shutil.copy(part.path, folder / "model.safetensors"))

    return copy


def load_vae(path: Path) -> Any:
    return load_int8(AutoencoderKL, path.parent, torch.float32)


LOADERS: dict[str, tuple[Callable[[Path], Path], Loader]] = {
    "language model": (language_model_file, load_model),
    "entropy model": (hyperprior_file, entropy_model.load),
    "hyperprior": (hyperprior_file, load_hyperprior),
    "clip": (clip_file, load_clip_heads),
    "describer": (shipped("describer"), load_describer),
    "detector": (shipped("detector"), GraphModel),
    "subjects": (shipped("subjects"), load_subjects),
    "vae": (int8_file, load_vae),
}


def change(path: Path, tensors: dict[str, torch.Tensor], *, metadata: bool = True) -> None:
    known = load(path, "pt").metadata if metadata else {}
    save_file(tensors, path, known or None)


def remove(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def text(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\n" * 20)


def no_header(path: Path) -> None:
    path.write_bytes(bytes(8) + path.read_bytes()[8:])


def no_tensors(path: Path) -> None:
    change(path, {})


def fewer_tensors(path: Path) -> None:
    tensors = load_file(path)
    largest = max((name for name in tensors if name not in ("facts",)), key=lambda name: tensors[name].numel())
    change(path, {name: tensor for name, tensor in tensors.items() if name != largest})


def other_shapes(path: Path) -> None:
    tensors = load_file(path)
    change(path, {name: torch.cat([tensor.flatten(), tensor.flatten()[:1]]) for name, tensor in tensors.items()})


FAULTS = [remove, empty, cut, text, no_header, no_tensors, fewer_tensors, other_shapes]


@pytest.mark.parametrize("name", LOADERS)
def test_every_fault_is_one_sentence(name: str, tmp_path: Path) -> None:
    make, read = LOADERS[name]
    sound = tmp_path / "sound"
    sound.mkdir()
    make(sound)
    read(next(sound.glob("*.safetensors")))
    faults = FAULTS if name != "detector" else FAULTS[:5]  # a graph says by itself which constants it has
    for fault in faults:
        folder = tmp_path / fault.__name__
        shutil.copytree(sound, folder)
        path = next(folder.glob("*.safetensors"))
        fault(path)
        with pytest.raises(WeightsError) as caught:
            read(path)
        said = str(caught.value)
        assert "\n" not in said
        if "the pixel stream's weights lack" not in said:
            assert path.name in said, fault.__name__
            assert ("missing" if fault is remove else "damaged") in said, fault.__name__


def test_a_hyperprior_without_its_synthesis_is_refused(tmp_path: Path) -> None:
    path = hyperprior_file(tmp_path)
    tensors = load_file(path)
    change(path, {name: tensor for name, tensor in tensors.items() if not name.startswith("g_s.")})
    with pytest.raises(WeightsError, match="damaged"):
        load_hyperprior(path)


@pytest.mark.parametrize("name", ["hyperprior", "language model", "detector"])
def test_other_metadata_and_facts_are_refused(name: str, tmp_path: Path) -> None:
    make, read = LOADERS[name]
    path = make(tmp_path)
    tensors = load_file(path)
    if name == "language model":
        tensors["facts"] = torch.from_numpy(np.frombuffer(b'{"config": {"layers": 2}}', np.uint8).copy())
        change(path, tensors)
    else:
        change(path, tensors, metadata=False)
    with pytest.raises(WeightsError, match="damaged"):
        read(path)


def test_an_operation_that_is_not_known_is_refused(tmp_path: Path) -> None:
    save_file({}, tmp_path / "graph.safetensors", {"graph": '{"a": {"op": "Import", "inputs": []}}'})
    with pytest.raises(WeightsError, match="damaged"):
        GraphModel(tmp_path / "graph.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x08\x07 no protobuf", b"\xff" * 5000])
def test_a_damaged_vision_tower_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tower.onnx"
    with pytest.raises(WeightsError, match="missing"):
        load_vision_tower(path)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"tower\.onnx are damaged"):
        load_vision_tower(path)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_damaged_text_tower_is_refused(name: str, tmp_path: Path) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    (tmp_path / "config.json").write_text(json.dumps(sizes | {"vocab_size": 9}))
    model = BertModel(BertConfig(**sizes, vocab_size=9), add_pooling_layer=False)
    save_file(dict(model.state_dict()), tmp_path / "model.safetensors")
    (tmp_path / "tokenizer.json").write_text(
        '{"model": {"type": "WordPiece", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]",'
        ' "continuing_subword_prefix": "##", "max_input_chars_per_word": 9}}'
    )
    load_text_tower(tmp_path)
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(WeightsError, match=f"{name} are damaged"):
        load_text_tower(tmp_path)


def test_what_misc_says_itself_stays(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="already one sentence"), refusing(tmp_path, "a part"):
        raise WeightsError("already one sentence")
    with pytest.raises(MemoryError), refusing(tmp_path, "a part"):
        raise MemoryError
    with pytest.raises(WeightsError, match="cannot be read"), refusing(tmp_path / "a", "a part"):
        raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o644), (0o700, 0o600)])
def test_who_may_list_the_folder_may_read_the_language_model(tmp_path: Path, folder: int, file: int) -> None:
    tmp_path.chmod(folder)
    write({"weight": np.zeros(3, np.int8)}, tmp_path / "model.safetensors")
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o777 == file
