"""The describer of transformers, with tiny models of real classes and random weights in the hub's layout."""

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from misc.bits.text.description import Description, Item, to_json
from misc.errors import DescriberError, WeightsError
from misc.models.describer import answer as describer_answer
from misc.models.describer.describer import describer_for
from misc.models.describer.endpoint import Endpoint
from misc.models.describer.http import HttpDescriber
from misc.models.describer.transformers import TransformersDescriber, load_describer
from misc.profiles import load_profile
from tests.support.images import sample_picture

transformers = pytest.importorskip("transformers")
CAT = Description("a grey cat on a red sofa", (Item("cat", "grey and asleep"),))
TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
SPECIAL = ["<s>", "</s>", "<pad>", "<unk>", "<image>", "<fake_token_around_image>", "<end_of_utterance>"]
SPECIAL += ["<global-img>", *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))]
LANGUAGE = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}


def tokenizer() -> Any:
    """A token a byte."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({token: number for number, token in enumerate([*SPECIAL, *letters])}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
        additional_special_tokens=SPECIAL[4:],
    )


def llava(folder: Path) -> None:
    words = tokenizer()
    vision = transformers.CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=32,
    )
    text = transformers.LlamaConfig(**LANGUAGE, vocab_size=len(words))
    config = transformers.LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=4,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    pictures = transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = transformers.LlavaProcessor(
        pictures,
        words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)


def idefics3(folder: Path) -> None:
    """The classes that SmolVLM is made of."""
    words = tokenizer()
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    text = transformers.LlamaConfig(**LANGUAGE, vocab_size=len(words))
    config = transformers.Idefics3Config(
        image_token_id=4, vision_config=vision, text_config=text, scale_factor=2, pad_token_id=2
    )
    pictures = transformers.Idefics3ImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    processor = transformers.Idefics3Processor(pictures, words, image_seq_len=4, chat_template=TEMPLATE)
    transformers.Idefics3ForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    top = tmp_path_factory.mktemp("models")
    for make in (llava, idefics3):
        make(top / make.__name__)
    return {make.__name__: top / make.__name__ for make in (llava, idefics3)}


@pytest.fixture(params=["llava", "idefics3"])
def tiny(request: pytest.FixtureRequest, folders: dict[str, Path]) -> TransformersDescriber:
    return load_describer(str(folders[request.param]), "cpu", batch=2)


def test_random_weights_are_asked_twice_and_refused(tiny: TransformersDescriber, monkeypatch) -> None:
    asked: list[str] = []
    generate = tiny.generate

    def listen(pictures: Sequence[Image.Image], requests: Sequence[str], most: int) -> list[str]:
        asked.extend(requests)
        return generate(pictures, requests, 8)

    monkeypatch.setattr(tiny, "generate", listen)
    with pytest.raises(DescriberError, match="asked twice: it is not one JSON object"):
        tiny.describe(sample_picture())
    assert len(asked) == 2
    assert "Your last answer was refused: it is not one JSON object" in asked[1]


def test_a_batch_answers_as_each_alone(tiny: TransformersDescriber) -> None:
    pictures = [sample_picture(60, 40), sample_picture(33, 70, seed=1)]
    requests = [describer_answer.request(3), describer_answer.request(1)]
    together = tiny.ask(pictures, requests, 6)
    alone = [tiny.ask([picture], [text], 6)[0] for picture, text in zip(pictures, requests, strict=True)]
    assert all(together)
    assert together == alone
    assert together == tiny.ask(pictures, requests, 6)


def test_pictures_go_in_batches_and_only_the_refused_again(tiny: TransformersDescriber, monkeypatch) -> None:
    good = json.dumps(to_json(CAT))
    answers = [[good, "no"], [good], [good]]
    batches: list[int] = []

    def say(pictures: Sequence[Image.Image], requests: Sequence[str], most: int) -> list[str]:
        batches.append(len(pictures))
        return answers.pop(0)

    monkeypatch.setattr(tiny, "generate", say)
    assert tiny.describe_many([sample_picture()] * 3) == [CAT] * 3
    assert batches == [2, 1, 1]


def test_a_model_that_fails_is_one_sentence(tiny: TransformersDescriber, monkeypatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise torch.OutOfMemoryError("no memory left\nand a long report")

    monkeypatch.setattr(tiny.model, "generate", fail)
    with pytest.raises(DescriberError, match=r"^the describer failed: no memory left$"):
        tiny.describe(sample_picture())


def test_precision_and_greedy_decoding(folders: dict[str, Path]) -> None:
    found = describer_for(str(folders["llava"]), load_profile(), "cpu")
    assert isinstance(found, TransformersDescriber)
    assert found.model.dtype == torch.float32
    assert not found.model.training
    assert not found.model.generation_config.do_sample


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_bfloat16_on_a_gpu(folders: dict[str, Path]) -> None:
    found = load_describer(str(folders["idefics3"]))
    assert (found.model.dtype, found.model.device.type) == (torch.bfloat16, "cuda")
    assert len(found.ask([sample_picture()] * 2, ["a", "what is this"], 6)) == 2


def broken(folder: Path, how: str) -> None:
    """Spoil a model's folder."""
    weights = folder / "model.safetensors"
    if how == "no weights":
        weights.unlink()
    elif how == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "pickle":
        weights.unlink()
        torch.save({}, folder / "pytorch_model.bin")
    elif how == "incomplete":
        from safetensors.torch import load_file, save_file

        tensors = load_file(weights)
        tensors.pop(next(name for name in tensors if "projector" in name))
        save_file(tensors, weights, {"format": "pt"})
    elif how == "no processor":
        for path in folder.glob("*processor*"):
            path.unlink()
    elif how == "no template":
        (folder / "chat_template.jinja").unlink()
    elif how == "other kind":
        (folder / "config.json").write_text('{"model_type": "bert"}')
    elif how == "damaged":
        (folder / "config.json").write_text("{")
    else:
        shutil.rmtree(folder)
        folder.mkdir()


HOWS = ["no weights", "cut", "pickle", "incomplete", "no processor", "no template", "other kind", "damaged", "empty"]


@pytest.mark.parametrize("how", HOWS)
def test_what_is_missing_is_one_sentence(folders: dict[str, Path], tmp_path: Path, how: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders["llava"], folder)
    broken(folder, how)
    with pytest.raises(WeightsError, match=r"^the describer .* (cannot be loaded: .|lacks \d of|has no )") as caught:
        load_describer(str(folder), "cpu")
    assert len(str(caught.value).splitlines()) == 1


def test_a_hub_that_does_not_answer_is_one_sentence(monkeypatch, tmp_path: Path) -> None:
    import huggingface_hub

    def refuse(self: object, name: str, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    with pytest.raises(WeightsError, match="not in the hub's cache and cannot be fetched"):
        load_describer("no-such-owner/no-such-model")


def test_the_command_with_a_folder(misc_command, photo: Path, folders: dict[str, Path], tmp_path: Path) -> None:
    code, out, err = misc_command("describe", photo, "--describer", folders["llava"])
    assert (code, out) == (1, "")
    assert "misc: the describer gave no usable answer, asked twice" in err
    assert "Traceback" not in err
    (tmp_path / "empty").mkdir()
    code, out, err = misc_command("describe", photo, "--describer", tmp_path / "empty")
    assert (code, out) == (4, "")
    assert "cannot be loaded" in err.splitlines()[-1]


def test_against_the_server_of_transformers(folders: dict[str, Path], monkeypatch) -> None:
    for package in ("fastapi", "uvicorn", "openai"):
        pytest.importorskip(package)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = "from transformers.cli.transformers import main; main()"
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen([sys.executable, "-c", serve, "serve", str(folders["llava"]), *options])
    try:
        until(f"http://127.0.0.1:{port}/health", process)
        endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", str(folders["llava"]))
        with pytest.raises(DescriberError, match="asked twice: it is not one JSON object"):
            HttpDescriber(endpoint).describe(sample_picture())
    finally:
        process.terminate()
        process.wait()


def until(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers."""
    for _ in range(400):
        assert process.poll() is None
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.25)
    raise AssertionError("the server does not start")
