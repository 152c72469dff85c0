"""Recipes and the choice of weights: what is committed can be read, what is wrong is one sentence."""

import sys
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest

from misc.cli.app import run_alone
from misc.errors import InputError, WeightsError
from misc.train import describer, diffusion, hyperprior, language_model, locator, upsampler
from misc.train.options import choose_start, read_recipe


@dataclass(frozen=True)
class Recipe:
    batch: int = 8
    rate: float = 0.5
    shares: tuple[float, float] = (1.0, 2.0)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_a_recipe_is_read_from_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, "batch = 2\nshares = [1, 3.5]\n[from_scratch]\nrate = 3\n")
    assert read_recipe(Recipe, "none", path) == Recipe(2, 0.5, (1, 3.5))
    assert read_recipe(Recipe, "none", path, from_scratch=True) == Recipe(2, 3, (1, 3.5))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("batsh = 2", "batsh = 2"),
        ("batch = 2.5", r"batch = 2\.5"),
        ("batch = true", "batch = True"),
        ("shares = [1.0]", "shares"),
        ("[from_scratch]\nbatch = 'two'", "batch = 'two'"),
        ("from_scratch = 1", "not a table"),
        ("batch = ", "not TOML"),
    ],
)
def test_what_a_recipe_cannot_say_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_recipe(Recipe, "none", written(tmp_path, text))


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.toml cannot be read"):
        read_recipe(Recipe, "none", tmp_path / "none.toml")


KINDS = {
    "hyperprior": hyperprior.Recipe,
    "language_model": language_model.Recipe,
    "describer": describer.Recipe,
    "locator": locator.Recipe,
    "generator": diffusion.Recipe,
    "decoder": upsampler.Recipe,
}


@pytest.mark.parametrize("part", KINDS)
def test_committed_recipes_say_everything(part: str) -> None:
    for from_scratch in (False, True):
        read_recipe(KINDS[part], part, from_scratch=from_scratch)
    path = Path(str(resources.files("misc.checkpoints"))) / "embedded" / part / "recipe.toml"
    assert set(tomllib.loads(path.read_text())) - {"from_scratch"} == set(KINDS[part].__dataclass_fields__)


def test_runs_start_from_the_committed_weights_unless_told_otherwise(tmp_path: Path) -> None:
    committed, other = tmp_path / "a", tmp_path / "b"
    committed.touch()
    other.touch()
    assert choose_start(None, committed, from_scratch=False) == committed
    assert choose_start(other, committed, from_scratch=False) == other
    assert choose_start(None, committed, from_scratch=True) is None
    with pytest.raises(InputError, match="exclude"):
        choose_start(other, committed, from_scratch=True)
    with pytest.raises(WeightsError, match="--from-scratch"):
        choose_start(None, tmp_path / "none", from_scratch=False)


@pytest.mark.parametrize("trainer", [hyperprior, language_model, describer, locator])
def test_a_mistyped_start_is_one_sentence(
    trainer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = "--features" if trainer in {describer, locator} else "--data"
    typo = tmp_path / "typo"
    arguments = [trainer.__name__, data, tmp_path, "--out", tmp_path / "out", "--start", typo]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    with pytest.raises(SystemExit) as stop:
        run_alone(trainer.main)
    assert stop.value.code == 4
    assert capsys.readouterr().err == f"misc: there are no weights at {typo}\n"
    assert not (tmp_path / "out").exists()


def test_missing_photos_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["hyperprior", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as stop:
        run_alone(hyperprior.main)
    assert stop.value.code == 1
    assert capsys.readouterr().err == f"misc: {tmp_path / 'none'} does not exist\n"
