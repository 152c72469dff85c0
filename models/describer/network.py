"""The embedded describer's network: a projector of patch tokens, and a language model that reads its output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ...bits.arithmetic.transformer import Config
from ...configs import build, read_config
from ...weights.safe import load, refusing
from ..language_model.llama import Llama

__all__ = ["TIED", "DescriberNetwork", "load_describer"]

CONFIG = "describer"  # for weights that do not store their own
EMBEDDING, TIED = "language.model.embed_tokens.weight", "language.lm_head.weight"  # the same numbers


class DescriberNetwork(nn.Module):
    """Projector and language model; `language.model` takes embeddings of both.

    Args:
        language: the language model, or the shape of a new one: the name of a config, or its table.
        patch_width: channels of a patch token.
        square: side of the square of patch tokens that become one visual token.
        hidden: channels inside the projector.
    """

    def __init__(self, language: Llama | str | dict[str, Any], patch_width: int, square: int, hidden: int) -> None:
        super().__init__()
        if not isinstance(language, Llama):
            language = Llama(build(Config, language))
        self.language, self.square = language, square
        self.config = {
            "language": vars(language.config),
            "patch_width": patch_width,
            "square": square,
            "hidden": hidden,
        }
        inputs, width = square**2 * patch_width, language.config.width
        self.projector = nn.Sequential(
            nn.LayerNorm(inputs), nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, width)
        )

    def look(self, patches: Tensor) -> Tensor:
        """(B, 64, width) embeddings of patch tokens (B, 16, 16, 384)."""
        b, rows, columns, width = patches.shape
        side = self.square
        squares = patches.reshape(b, rows // side, side, columns // side, side, width).transpose(2, 3)
        projected: Tensor = self.projector(squares.reshape(b, rows * columns // side**2, side**2 * width))
        return projected

    def embed(self, tokens: Tensor) -> Tensor:
        """(B, L, width) embeddings of tokens (B, L)."""
        embedded: Tensor = self.language.model.embed_tokens(tokens)
        return embedded


def load_describer(path: Path) -> DescriberNetwork:
    """The network of a weights file that `misc.train.describer` wrote.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    with refusing(path, "the describer"):
        weights = load(path, "pt")
        own = weights.metadata.get("config")
        model = DescriberNetwork(**(json.loads(own) if own else read_config(CONFIG)))
        state = {name: tensor.float() for name, tensor in weights.tensors.items()}
        model.load_state_dict(state | {TIED: state[EMBEDDING]})
    return model.eval().requires_grad_(False)
