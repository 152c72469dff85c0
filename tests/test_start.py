"""What commands must not import: each of these libraries takes from half a second to four to import."""

import subprocess
import sys
from pathlib import Path

import pytest

from misc.profiles import load_profile
from tests.support.images import sample_picture

ROOT = Path(__file__).parent.parent
SLOW = ("compressai", "transformers", "diffusers", "timm", "open_clip", "scipy", "sklearn", "torchvision", "sympy")
SLOW += ("torch._dynamo", "pandas", "matplotlib", "accelerate", "huggingface_hub", "IPython", "gradio", "ray")
PULLED = all(load_profile().packages[name].path.is_file() for name in ("vit", "minilm", "efficientnet"))


def slow_imports(*words: str, also: tuple[str, ...] = ()) -> list[str]:
    """What of SLOW and `also` a command of `misc` has imported at its end."""
    script = """
import atexit, os, sys
unwanted = sys.argv.pop().split(",")
atexit.register(lambda: print("imported:", *(name for name in unwanted if name in sys.modules), file=sys.stderr))
from misc.cli import main
main()
"""
    unwanted = ",".join((*SLOW, *also))
    done = subprocess.run(
        [sys.executable, "-c", script, *words, unwanted], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["info", "tests/golden/all.misc"],
        ["info", "tests/golden/text.misc", "--json"],
        ["text", "pack", "--help"],
        ["pull", "--help"],
        ["encode", "--help"],
    ],
    ids=" ".join,
)
def test_what_draws_nothing_imports_no_torch(words: list[str]) -> None:
    assert slow_imports(*words, also=("torch", "onnx", "tokenizers")) == []


def test_pixels_alone_need_torch_alone(tmp_path: Path) -> None:
    image, file = tmp_path / "image.png", tmp_path / "image.misc"
    sample_picture(64, 64).save(image)
    also = ("onnx", "tokenizers")
    assert slow_imports("encode", str(image), str(file), "--mode", "pixel", "--quality", "90", also=also) == []
    assert slow_imports("verify", str(file), also=(*also, "torch")) == []
    assert slow_imports("decode", str(file), str(tmp_path / "draft.png"), "--draft", also=also) == []
    assert slow_imports("decode", str(file), str(tmp_path / "drawn.png"), also=also) == []


@pytest.mark.skipif(not PULLED, reason="the weights are not pulled")
def test_an_encoder_of_everything_imports_no_library_of_models(tmp_path: Path) -> None:
    image, file = tmp_path / "image.png", tmp_path / "image.misc"
    sample_picture(96, 64).save(image)
    assert slow_imports("encode", str(image), str(file), "--bpp", "0.5") == []
    assert slow_imports("decode", str(file), str(tmp_path / "drawn.png")) == []


def test_the_encoders_networks_import_no_library_of_models() -> None:
    """The same where nothing is pulled."""
    script = f"""
import sys
import misc.models.describer.embedded, misc.models.semantics, misc.models.towers.text_features
import misc.models.decoder.cascade_weights, misc.models.language_model.skeleton, misc.models.clip.embedded
import misc.models.towers.tagger, misc.models.towers.detector, misc.encoding
print(*sorted(set({SLOW!r}) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_collector_rests_only_while_torch_is_imported() -> None:
    script = """
import gc, sys
from misc.quick_torch import import_torch
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(gc.isenabled())
sys.meta_path.insert(0, Watch())
import_torch()
print(gc.isenabled(), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]
