"""Train lm-small, the text stream's own language model.

    python -m misc.train.language_model --data FOLDER --out FOLDER [--extra FILE.txt] --minutes 20

FOLDER of data holds `captioned-train-*.tar` and `text/lmm_descriptions.jsonl`, of which only
`misc.train.data.texts.training_half` is read; `--extra` is any English text, one short text a line. Four styles
(captions, descriptions, structured descriptions, extra) fill sequences of one style each, as the coder will see them
behind its prefix. OUT receives `language_model.safetensors`, the exact integers that `misc.bits.text.language_model`
runs. Resumes from OUT/state.pt; `--start` takes the weights of another run's state. Prints its result as JSON.
"""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaForCausalLM

from ..bits.text.byte_pairs import WORDS
from ..models.describer.embedded import new_llama
from ..models.language_model import integers as exact
from ..models.language_model.prefixes import SMALL_PREFIXES
from .data.noun_phrases import describe_captions
from .data.texts import captions, held_out_half, read_descriptions, training_half
from .state import restore, save

__all__ = ["make_tokenizer", "optimizers", "sequences"]

VOCABULARY = 4096
LINE_BREAK, TERMINATOR = "Ċ", "ĊĊ"
SHARES = {"captions": 0.3, "descriptions": 0.15, "structured": 0.2, "extra": 0.35}
LOG_2 = math.log(2)

Documents = dict[str, list[list[int]]]


def make_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """Byte pairs of the texts over all 256 bytes, with the terminator as the last token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("\n|" + WORDS.pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=VOCABULARY - 1, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_tokens([TERMINATOR])
    return tokenizer


def corpus(data: Path, extra: Path | None) -> dict[str, list[str]]:
    """Texts by style."""
    photos = list(captions(sorted(data.glob("captioned-train-*.tar"))))
    return {
        "captions": [caption for found in photos for caption in found],
        "descriptions": training_half(read_descriptions(data)),
        "structured": ["\n".join(describe_captions(found).fields()).rstrip("\n") for found in photos],
        "extra": extra.read_text().splitlines() if extra else [],
    }


def sequences(documents: Documents, length: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Endless (batch, length + 1) tokens; a row holds texts of one style, parted by the terminator."""
    draw = random.Random(seed)
    styles = [style for style in SHARES if documents[style]]
    terminator = VOCABULARY - 1
    while True:
        rows = []
        for _ in range(batch):
            style = draw.choices(styles, [SHARES[style] for style in styles])[0]
            row = [terminator]
            while len(row) <= length:
                row += [*draw.choice(documents[style]), terminator]
            rows.append(row[: length + 1])
        yield torch.tensor(rows)


@torch.inference_mode()
def bits_a_text(model: LlamaForCausalLM, documents: Sequence[list[int]], before: list[int]) -> float:
    """Mean bits of a text with its terminator after the tokens of a prefix."""
    terminator, bits = VOCABULARY - 1, 0.0
    model.eval()
    for document in documents:
        tokens = torch.tensor([before + document + [terminator]])
        logits = model(tokens[:, :-1]).logits[0, len(before) - 1 :].float()
        bits -= float(logits.log_softmax(-1).gather(1, tokens[0, len(before) :, None]).sum()) / LOG_2
    model.train()
    return bits / len(documents)


def optimizers(model: LlamaForCausalLM, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embedding and gains."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def facts(tokenizer: Tokenizer) -> dict[str, Any]:
    """Vocabulary for the exact model."""
    tokens = [tokenizer.id_to_token(i) for i in range(VOCABULARY)]
    merges = [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    return {"tokens": tokens, "merges": merges, "special": []}


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, target: Path) -> None:
    """The integers of the model with its prefixes' caches."""
    config, arrays = exact.from_transformers(model)
    exact.write(exact.add_prefixes(config, arrays, facts(tokenizer), SMALL_PREFIXES), target)


def train(
    data: Annotated[Path, typer.Option(help="folder with captioned-train shards and text/")],
    out: Annotated[Path, typer.Option(help="folder for state and weights")],
    extra: Annotated[Path | None, typer.Option(help="more English text, one short text a line")] = None,
    start: Annotated[Path | None, typer.Option(help="state.pt of another run")] = None,
    minutes: float = 20,
    batch: int = 8,
    length: int = 512,
    lr: float = 3e-3,
    steps: int = 1_000_000,
    seed: int = 0,
) -> None:
    """Train lm-small."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    texts = corpus(data, extra)
    path = out / "state.pt"
    state = next((torch.load(p, weights_only=True) for p in (path, start) if p and p.exists()), None)
    everything = [text for style in texts for text in texts[style]]
    tokenizer = Tokenizer.from_str(state["tokenizer"]) if state else make_tokenizer(everything)
    documents = {style: [encoding.ids for encoding in tokenizer.encode_batch(found)] for style, found in texts.items()}
    held = tokenizer.encode_batch(held_out_half(read_descriptions(data))[::10])
    model = new_llama(VOCABULARY, exact.POSITIONS).to(device)
    if state:
        model.load_state_dict(state["model"])
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    both = optimizers(model, lr)
    step, seconds = restore(path, model, average, both)
    print({style: sum(map(len, found)) for style, found in documents.items()}, "tokens", file=sys.stderr)
    batches = sequences(documents, length, batch, seed + step)
    began, saved_at, mean = time.time() - seconds, time.time(), 0.0

    def checkpoint() -> None:
        save(path, model, average, both, step, time.time() - began, tokenizer=tokenizer.to_str())

    while step < steps and time.time() - began < 60 * minutes:
        done = max(step / steps, (time.time() - began) / (60 * minutes))
        rate = lr * min(1.0, (step + 1) / 100) * max(0.01, min(1.0, (1 - done) / 0.6))
        for optimizer in both:
            for group in optimizer.param_groups:
                group["lr"] = rate
        tokens = next(batches).to(device)
        with torch.autocast(device, torch.bfloat16):
            logits = model(tokens[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad()
        average.update_parameters(model)
        step += 1
        mean = loss.item() if step == 1 else 0.98 * mean + 0.02 * loss.item()
        if step % 50 == 0:
            print(
                f"step {step}  loss {mean:.3f}  {(time.time() - began) / step:.2f} s/step", file=sys.stderr, flush=True
            )
        if time.time() - saved_at > 240:
            checkpoint()
            characters = sum(len(text) for text in held_out_half(read_descriptions(data))[::10]) / len(held)
            bits = bits_a_text(average.module, [e.ids for e in held], [VOCABULARY - 1])
            print(f"held-out descriptions: {bits / characters:.3f} bits a character", file=sys.stderr, flush=True)
            saved_at = time.time()
    checkpoint()
    export(average.module.float().cpu(), tokenizer, out / "language_model.safetensors")
    print(json.dumps({"steps": step, "seconds": round(time.time() - began), "loss": mean}))


if __name__ == "__main__":
    typer.run(train)
