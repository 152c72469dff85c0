"""Text as the decoder's networks take it: CLIP's hidden states in hub profiles, MiniLM's in the embedded one.

texts ─► tokens (CLIP: in windows of 77) ─► TextFeatures: states (B, L, D), which of them are tokens
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..towers.text_features import WIDTH, TextTower

__all__ = ["ClipText", "MiniLmText", "TextEncoder", "TextFeatures"]


@dataclass(frozen=True)
class TextFeatures:
    """What a text encoder makes of B texts.

    Attributes:
        states: (B, L, D) float.
        tokens: (B, L) bool, True at a text's own tokens.
        window: (B, L) bool, True at all that a prompt for the whole image shows: CLIP's padding too, as in training.
        pooled: (B, P) float, or None if the UNet takes no such vector.
    """

    states: Tensor
    tokens: Tensor
    window: Tensor
    pooled: Tensor | None = None


class TextEncoder(Protocol):
    """Anything that encodes texts for cross-attention.

    Attributes:
        zero_negative: whether an empty negative prompt is zeros instead of an empty text's features.
    """

    zero_negative: bool

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts, on the encoder's device."""
        ...

    def to(self, device: torch.device) -> Any:
        """Move to a device."""
        ...


class MiniLmText:
    """MiniLM's token states; an empty text's two are zero, so that a file without text is drawn without MiniLM.

    Args:
        load: gives the tower when the first text comes; it may raise WeightsError then.
    """

    zero_negative = False  # an empty text's features are zeros by themselves

    def __init__(self, load: Callable[[], TextTower]) -> None:
        self.load = load
        self.device = torch.device("cpu")

    @functools.cached_property
    def tower(self) -> TextTower:
        """MiniLM."""
        return self.load().to(self.device)

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """As `TextEncoder.encode`."""
        if not any(texts):
            mask = torch.ones(len(texts), 2, dtype=torch.bool, device=self.device)
            return TextFeatures(torch.zeros(*mask.shape, WIDTH, device=self.device), mask, mask)
        states, mask = self.tower.tokens(texts)
        said = torch.tensor([bool(text) for text in texts], device=states.device)
        return TextFeatures(states * said[:, None, None], mask, mask)

    def to(self, device: torch.device) -> MiniLmText:
        """Move to a device; returns itself."""
        self.device = device
        if "tower" in self.__dict__:
            self.tower.to(device)
        return self


class ClipText:
    """One CLIP text encoder's last states (Stable Diffusion 1.5), or two's last but one, side by side, with the
    second's pooled vector (SDXL, arXiv 2307.01952). Texts longer than CLIP's window go through it in parts.

    Args:
        tokenizers, models: CLIPTokenizer and CLIPTextModel; the second model is a CLIPTextModelWithProjection.

    SDXL's dropped texts were zeros in training, so its empty negative prompt is zeros too (diffusers'
    `force_zeros_for_empty_prompt`); Stable Diffusion 1.5's was the empty text.
    """

    def __init__(self, tokenizers: Sequence[Any], models: Sequence[Any]) -> None:
        self.tokenizers = list(tokenizers)
        self.models = list(models)
        self.zero_negative = len(self.models) > 1

    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """As `TextEncoder.encode`."""
        features = [
            self.by(tokenizer, model, texts) for tokenizer, model in zip(self.tokenizers, self.models, strict=True)
        ]
        states = torch.cat([each.states for each in features], 2)
        return TextFeatures(states, features[0].tokens, features[0].window, features[-1].pooled)

    @torch.no_grad()
    def by(self, tokenizer: Any, model: Any, texts: Sequence[str]) -> TextFeatures:
        """Features of one of the encoders."""
        size = int(model.config.max_position_embeddings)
        ids = [tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in texts]
        parts = max(1, *(-(-len(each) // (size - 2)) for each in ids))
        rows, tokens, window = [], [], []
        for each in ids:
            for k in range(parts):
                words = each[k * (size - 2) : (k + 1) * (size - 2)]
                shown = k == 0 or bool(words)
                row = [tokenizer.bos_token_id, *words, tokenizer.eos_token_id]
                rows.append(row + [tokenizer.pad_token_id] * (size - len(row)))
                tokens.append([shown] * len(row) + [False] * (size - len(row)))
                window.append([shown] * size)
        # On a CPU one after another: how products are rounded depends on the number of rows.
        at_once = 1 if model.device.type == "cpu" else len(rows)
        outputs = [
            model(input_ids=each, output_hidden_states=True)
            for each in torch.tensor(rows, device=model.device).split(at_once)
        ]
        single = len(self.models) == 1
        states = torch.cat([each.last_hidden_state if single else each.hidden_states[-2] for each in outputs])
        pooled = torch.cat([each.text_embeds for each in outputs]) if hasattr(outputs[0], "text_embeds") else None
        count, length = len(texts), parts * size
        return TextFeatures(
            states.reshape(count, length, -1),
            torch.tensor(tokens, device=states.device).reshape(count, length),
            torch.tensor(window, device=states.device).reshape(count, length),
            None if pooled is None else pooled[::parts],
        )

    def to(self, device: torch.device) -> ClipText:
        """Move to a device; returns itself."""
        for model in self.models:
            model.to(device)
        return self
