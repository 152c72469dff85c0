"""A describer that runs any image-text-to-text model of transformers, from a folder or by its hub name.

    images, requests ─► chat template, processor ─► (batch, tokens), pixels ─► generate, greedy ─► answers

Weights are read only from safetensors, and code beside them is never run. A model with a hub name is downloaded into
the hub's own cache. If the hub does not answer, the files in that cache are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DescriberError, WeightsError
from .answer import describe_all

if TYPE_CHECKING:
    from PIL import Image

    from ...bits.text.description import Description

__all__ = ["TransformersDescriber", "load_describer"]

MAX_MESSAGE = 200
FILES = ["*.json", "*.jinja", "*.txt", "*.model", "*.safetensors"]  # no pickles, no code
HUB_TIMEOUT = 10.0


class TransformersDescriber:
    """Describes with a model in this process.

    Args:
        model: a generative model of transformers.
        processor: its processor, with a chat template.
        batch: number of images in a batch.
    """

    def __init__(self, model: Any, processor: Any, batch: int = 8) -> None:
        self.model = model
        self.processor = processor
        self.batch = batch

    def describe(self, image: Image.Image, items: int = 3) -> Description:
        """As `misc.models.describer.describer.Describer.describe`."""
        return self.describe_many([image], items)[0]

    def describe_many(self, images: Sequence[Image.Image], items: int = 3) -> list[Description]:
        """Descriptions of images, in batches; the errors are those of `describe`."""
        descriptions: list[Description] = []
        for start in range(0, len(images), self.batch):
            descriptions += describe_all(self.ask, images[start : start + self.batch], items)
        return descriptions

    def ask(self, images: Sequence[Image.Image], requests: Sequence[str], most_tokens: int) -> list[str]:
        """As `misc.models.describer.answer.Ask`, in one batch."""
        try:
            return self.generate(images, requests, most_tokens)
        except Exception as error:  # a foreign model may raise any error, such as no memory left
            raise DescriberError(f"the describer failed: {first_line(error)}") from error

    def generate(self, images: Sequence[Image.Image], requests: Sequence[str], most_tokens: int) -> list[str]:
        """The model's answers to images and their requests, with at most `most_tokens` new tokens."""
        import torch

        chats = [
            [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}] for text in requests
        ]
        prompts = self.processor.apply_chat_template(chats, add_generation_prompt=True)
        opening = self.processor.tokenizer.bos_token
        inputs = self.processor(
            images=[[image] for image in images],
            text=prompts,
            padding=True,
            add_special_tokens=not (opening and prompts[0].startswith(opening)),  # otherwise it would occur twice
            return_tensors="pt",
        ).to(self.model.device, dtype=self.model.dtype)
        with torch.inference_mode():
            tokens = self.model.generate(**inputs, max_new_tokens=most_tokens, do_sample=False)
        answers = tokens[:, inputs["input_ids"].shape[1] :]
        return [str(text) for text in self.processor.batch_decode(answers, skip_special_tokens=True)]


def load_describer(name: str, device: str | None = None, batch: int = 8) -> TransformersDescriber:
    """The model of a folder or of a hub name: bfloat16 on a GPU, float32 on a CPU.

    Args:
        device: a torch device; the GPU when there is one, else the CPU.
        batch: images that are described at once.

    Raises:
        WeightsError: it cannot be downloaded, is incomplete, or needs a package that is not installed.
    """
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    folder = folder_of(name)
    try:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        processor = AutoProcessor.from_pretrained(folder)
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
        model, report = loaded
        model = model.to(device).eval()
    except Exception as error:  # transformers raises many kinds of errors for a folder that it cannot read
        raise WeightsError(f"the describer {name!r} cannot be loaded: {first_line(error)}") from error
    if report["missing_keys"]:  # transformers would use random numbers instead
        raise WeightsError(f"the describer {name!r} lacks {len(report['missing_keys'])} of its weights")
    if not (hasattr(processor, "tokenizer") and hasattr(processor, "image_processor")):
        raise WeightsError(f"the describer {name!r} has no processor of texts and images")
    if not processor.chat_template:
        raise WeightsError(f"the describer {name!r} has no chat template")
    processor.tokenizer.padding_side = "left"  # so that every answer begins right after its request
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token
    # The model's sampling settings have no effect in greedy decoding, and transformers would warn about them.
    model.generation_config.update(do_sample=False, num_beams=1, temperature=None, top_p=None, top_k=None)
    return TransformersDescriber(model, processor, batch)


def folder_of(name: str) -> Path:
    """The folder itself, or that of a hub name in the cache."""
    folder = Path(name)
    if name and folder.is_dir():
        return folder
    if folder.is_absolute() or name.startswith(".") or name.count("/") != 1:
        raise WeightsError(f"there is no describer {name!r}: it is neither a folder nor a hub name")
    try:
        from huggingface_hub import HfApi, snapshot_download

        try:
            HfApi().model_info(name, timeout=HUB_TIMEOUT)  # fails at once; a download would retry for minutes
        except Exception:
            return Path(snapshot_download(name, local_files_only=True))
        return Path(snapshot_download(name, allow_patterns=FILES))
    except Exception as error:  # of the network or the hub: no answer, no such model, no access
        raise WeightsError(f"the describer {name!r} is not in the hub's cache and cannot be fetched") from error


def first_line(error: Exception) -> str:
    """An error's message, cut to one short line."""
    lines = str(error).strip().splitlines() or [""]
    return (lines[0].strip() or type(error).__name__)[:MAX_MESSAGE]
