"""A user's own profile: what it changes, and what it says wrongly."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from misc.codec import Codec
from misc.errors import InputError, WeightsError
from misc.eval.codecs import expand, open_codec
from misc.eval.store import Store
from misc.profiles import Part, load_profile, profile_names, read_own_profile
from tests.support.images import sample_picture

OWN = 'base = "embedded"\n\n[cascade]\nmemory = "own.safetensors"\n'


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A profile with another memory, of which only the bytes count here."""
    (tmp_path / "own.safetensors").write_bytes(b"photos")
    (tmp_path / "own.toml").write_text(OWN)
    return tmp_path / "own.toml"


def test_it_changes_what_it_says_and_nothing_else(own: Path) -> None:
    profile, base = load_profile(str(own)), load_profile()
    assert profile.name == "own"
    assert profile.cascade is not None
    assert base.cascade is not None
    assert profile.cascade.memory == str(own.parent / "own.safetensors")
    assert profile.cascade.upsampler == base.cascade.upsampler
    assert profile.hyperprior == base.hyperprior
    assert base.own_memory == b""


def test_a_file_asks_for_the_memory_it_was_written_with(misc_command, own: Path, tmp_path: Path) -> None:
    photo, file = tmp_path / "photo.png", tmp_path / "a.misc"
    sample_picture(64, 48).save(photo)
    (tmp_path / "text.json").write_text(json.dumps({"overall": "a cat"}))
    words = ["--mode", "text", "--describe", tmp_path / "text.json", "--seed", 7]
    assert misc_command("encode", photo, file, *words, "--profile", own)[0] == 0
    assert misc_command("verify", file, "--profile", own)[0] == 0
    code, _, err = misc_command("verify", file)
    assert (code, err.count("\n")) == (4, 1)
    assert "other models" in err
    (tmp_path / "own.safetensors").write_bytes(b"other photos")
    read_own_profile.cache_clear()
    assert misc_command("verify", file, "--profile", own)[0] == 4


def test_a_profile_is_that_of_the_folder_and_as_it_is_now(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = own.parent / "other"
    other.mkdir()
    (other / own.name).write_text('base = "embedded"\ndescription = "other"\n')
    monkeypatch.chdir(own.parent)
    first = load_profile(own.name)
    assert load_profile(own) is first
    monkeypatch.chdir(other)
    assert load_profile(own.name).description == "other"
    (other / own.name).write_text('base = "embedded"\ndescription = "changed"\n')
    assert load_profile(own.name).description == "changed"


def test_info_says_which_profiles_read_a_file(misc_command, own: Path, tmp_path: Path) -> None:
    photo, file = tmp_path / "photo.png", tmp_path / "a.misc"
    sample_picture(64, 48).save(photo)
    assert misc_command("encode", photo, file, "--mode", "pixel", "--quality", 5)[0] == 0
    everyone = ["embedded", "sd15-hyper", "sd15-lcm", "sd15-tile", "sdxl-tile"]
    assert json.loads(misc_command("info", file, "--json")[1])["profiles"] == everyone == profile_names()
    assert f"(read by {', '.join(everyone)})" in misc_command("info", file)[1]
    for name in everyone:
        assert misc_command("verify", file, "--profile", name)[0] == 0
    assert misc_command("encode", photo, file, "--mode", "pixel", "--quality", 5, "--profile", own)[0] == 0
    assert json.loads(misc_command("info", file, "--profile", own, "--json")[1])["profiles"] == [str(own)]
    assert json.loads(misc_command("info", file, "--json")[1])["profiles"] == []
    assert "(read by no profile here)" in misc_command("info", file)[1]


def test_another_profile_decodes_a_file_in_a_process_of_its_own(misc_command, tmp_path: Path) -> None:
    photo, file = tmp_path / "photo.png", tmp_path / "a.misc"
    sample_picture(64, 48).save(photo)
    (tmp_path / "text.json").write_text(json.dumps({"overall": "two cats"}))
    words = ["--describe", tmp_path / "text.json", "--streams", "text,pixels", "--quality", 5, "--profile", "sd15-lcm"]
    code, _, err = misc_command("encode", photo, file, *words)
    assert code == 0, err
    decode = [sys.executable, "-m", "misc", "decode", file, tmp_path / "out.png", "--draft", "--profile", "sdxl-tile"]
    subprocess.run(decode, check=True)
    code, _, err = misc_command("decode", file, tmp_path / "ours.png", "--draft")
    assert code == 0, err
    assert Image.open(tmp_path / "out.png").tobytes() == Image.open(tmp_path / "ours.png").tobytes()


def test_a_memory_that_is_gone_is_one_error(own: Path) -> None:
    (own.parent / "gone.toml").write_text(OWN.replace("own", str(own.parent / "gone")))
    with pytest.raises(WeightsError, match=r"gone\.safetensors cannot be read"):
        Codec(str(own.parent / "gone.toml")).encode(sample_picture(64, 48), mode="pixel")


def test_a_memory_that_is_nowhere_is_missing_beside_the_profile(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)  # and no own.safetensors: as if it were MISC's own, files were its too
    with pytest.raises(WeightsError, match=rf"{tmp_path / 'own'}\.safetensors cannot be read: No such file"):
        _ = load_profile(str(tmp_path / "own.toml")).exact_models


def test_files_of_misc_are_still_named_as_its_profiles_name_them(tmp_path: Path) -> None:
    base = load_profile().cascade
    assert base is not None
    names = {"upsampler": base.upsampler, "memory": base.memory}
    lines = "\n".join(f'{key} = "{name}"' for key, name in names.items())
    (tmp_path / "own.toml").write_text(f'base = "sd15-tile"\n[cascade]\n{lines}')
    assert load_profile(str(tmp_path / "own.toml")).cascade == base


def test_weights_beside_it_are_not_held_against_the_bases_digest(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"")
    (tmp_path / "own.toml").write_text('base = "embedded"\n[hyperprior]\nweights = "mine.safetensors"\n')
    part = load_profile(str(tmp_path / "own.toml")).hyperprior
    assert (part.path, part.sha256) == (tmp_path / "mine.safetensors", "")


def test_it_says_how_a_hub_decoder_runs_here(tmp_path: Path) -> None:
    lines = ['base = "sd15-tile"', "[decoder]", 'dtype = "bfloat16"', "offload = true", 'compile = "reduce-overhead"']
    (tmp_path / "own.toml").write_text("\n".join(lines))
    changed, base = load_profile(str(tmp_path / "own.toml")).decoder, load_profile("sd15-tile").decoder
    assert base is not None
    assert changed == dataclasses.replace(base, dtype="bfloat16", offload=True, compile="reduce-overhead")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base = ", "is not TOML"),
        ("", "must name a base"),
        ("base = 3", "must name a base"),
        ('base = "no-such"', "there is no profile 'no-such'"),
        ('base = "embedded"\ncascade = 3', "has a setting that no profile can have"),
        ('base = "embedded"\n[cascade]\ncolour = 3', "has a setting that no profile can have"),
        ('base = "embedded"\n[cascade]\nmemory = 3', "no profile can have: cascade.memory = 3"),
        ('base = "embedded"\n[language_model]\ndigest = 3', "no profile can have: language_model.digest = 3"),
        ('base = "embedded"\n[cascada]\nmemory = "own"', "no profile can have: cascada"),
        ('base = "embedded"\nprofile = 3', "no profile can have: profile"),
        ('base = "sd15-tile"\n[decoder.sampling]\nsteps = "many"', "decoder.sampling.steps = 'many'"),
        ('base = "sd15-tile"\n[decoder]\ndtype = "int8"', "run in float32, bfloat16, float16, not in 'int8'"),
        ('base = "sd15-tile"\n[decoder]\ncompile = "much"', "no mode 'much'; there is default, reduce-overhead"),
    ],
)
def test_wrong_profiles_are_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(InputError, match=words) as raised:
        load_profile(str(tmp_path / "own.toml"))
    assert raised.value.exit_code == 1  # the option is right, its file is not


def test_a_profile_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"own\.toml cannot be read: No such file"):
        load_profile(str(tmp_path / "own.toml"))
    with pytest.raises(InputError, match="or a TOML file of your own"):
        load_profile("own")


def test_a_profile_is_one_object_however_it_is_asked_for() -> None:
    assert load_profile() is load_profile("embedded")


def test_an_own_profile_is_evaluated_and_its_weights_tell_runs_apart(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('base = "embedded"\n[hyperprior]\nweights = "mine.safetensors"\n')
    (tmp_path / "mine.safetensors").write_bytes(load_profile().hyperprior.path.read_bytes())
    (setting,) = expand([f"misc:pixel@{own}"])
    assert setting.options["profile"] == str(own)
    codec = open_codec(setting)
    image = sample_picture(64, 48)
    assert codec.decode(codec.encode(image, 1)).size == image.size
    assert expand([f"misc:pixel@{own}"]) == [setting]
    with (tmp_path / "mine.safetensors").open("ab") as file:
        file.write(b"trained further")
    (other,) = expand([f"misc:pixel@{own}"])
    assert other.options["content"] != setting.options["content"]


def test_other_embedded_weights_make_another_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (setting,) = expand(["misc:pixel"])
    assert setting.options["content"] == load_profile().weights_digest()
    other = tmp_path / "memory.safetensors"
    other.write_bytes(b"other photos")
    profile = load_profile()
    assert profile.cascade is not None
    changed = dataclasses.replace(profile, cascade=dataclasses.replace(profile.cascade, memory=str(other)))
    monkeypatch.setattr("misc.eval.codecs.registry.load_profile", lambda _: changed)
    (later,) = expand(["misc:pixel"])
    assert later.options["content"] != setting.options["content"]
    store = Store(tmp_path / "run")
    facts = {"photos": {}, "seed": None, "versions": {}}
    store.open(facts, [setting])
    store.open(facts, [setting])
    with pytest.raises(InputError, match="another codec that is named misc:pixel"):
        store.open(facts, [later])


def test_a_memory_is_made_for_the_profile_that_is_named(
    misc_command, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = []

    def made(profile: str) -> Codec:
        named.append(profile)
        raise InputError("enough")

    monkeypatch.setattr("misc.codec.Codec", made)
    words = ["memory", "build", tmp_path, "--out", tmp_path / "new.safetensors", "--profile", own]
    assert misc_command(*words)[0] == 1
    assert named == [str(own)]


def test_a_digest_that_is_none_is_one_sentence() -> None:
    for digest in ("xyz", "0" * 63, "G" * 64):
        with pytest.raises(InputError, match="64 hexadecimal digits"):
            Part("words/words.safetensors", "", digest)
    assert Part("words/words.safetensors", "", "0" * 64).sha256 == "0" * 64
