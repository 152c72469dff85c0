import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import misc
from misc.bits.text import WEIGHTLESS, coder_of, shortest
from misc.bits.text.consonants import CONSONANTS, Consonants, skeleton, skeletons
from misc.bits.text.deflate import Deflate
from misc.bits.text.lzw import Lzw, fold
from misc.errors import LimitError, MiscError
from misc.profiles import load_profile

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
DLSVC = "a cat sitting on top of a wooden bench"


STRANGER = """
class Utf16:
    name, lossless, available, digest = "utf16", True, True, b""

    def keeps(self, text):
        return True

    def pack(self, text):
        return text.encode("utf-16-le")

    def unpack(self, data):
        return data.decode("utf-16-le")
"""


def test_another_coder_is_a_file_and_a_line(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "models", "train", "eval", "checkpoints")
    shutil.copytree(Path(misc.__path__[0]), tmp_path / "misc", ignore=ignored)
    folder = tmp_path / "misc" / "bits" / "text"
    (folder / "utf16.py").write_text(STRANGER)
    table = (folder / "registry.py").read_text()
    line = '    6: words("words", 256),\n'
    (folder / "registry.py").write_text(table.replace(line, line + '    7: weightless("utf16.Utf16"),\n'))
    script = (
        "from misc.bits.text import WEIGHTLESS, shortest, coder_of\n"
        "data = shortest('☃' * 3, {7: WEIGHTLESS[7]})\n"
        "assert data[0] == 7 and coder_of(7, WEIGHTLESS).unpack(data[1:]) == '☃' * 3\n"
        "assert WEIGHTLESS[7].name == 'utf16' and len(shortest('a cat', WEIGHTLESS)) < 10"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})


@settings(max_examples=200)
@given(TEXTS)
def test_lzw_keeps_what_it_folds_to(text: str) -> None:
    assert Lzw().unpack(Lzw().pack(text)) == fold(text)


@given(st.text("ab ", max_size=80))
def test_lzw_phrases_of_phrases(text: str) -> None:
    assert Lzw().unpack(Lzw().pack(text)) == fold(text)


def test_lzw_learns_what_comes_again() -> None:
    again, once = Lzw().pack("a cat on a mat " * 40), Lzw().pack("a cat on a mat ")
    assert len(again) < 15 * len(once)
    assert Lzw().unpack(again) == ("a cat on a mat " * 40).strip()


def test_lzw_of_the_seed_sentence() -> None:
    assert 8 * len(Lzw().pack(DLSVC)) <= 174
    assert fold("Ein Käfer—2 cats!") == "ein kafer cats"


def test_deflate_uses_its_dictionary() -> None:
    assert len(Deflate().pack("The image shows a group of people standing in front of a large building.")) < 20


@given(TEXTS)
def test_the_shortest_wins_and_loses_nothing(text: str) -> None:
    data = shortest(text, WEIGHTLESS)
    assert coder_of(data[0], WEIGHTLESS).unpack(data[1:]) == text
    assert len(data) <= 1 + len(Deflate().pack(text))


def test_lossy_coders_are_not_chosen_for_what_they_lose() -> None:
    with pytest.raises(LimitError):
        shortest("A cat", {2: Lzw(), 3: Consonants()})
    assert shortest("a cat", {1: Deflate(), 2: Lzw()})[0] == 2


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=40))
def test_any_bytes_end_in_text_or_an_error_in_lzw(data: bytes) -> None:
    try:
        assert set(Lzw().unpack(data)) <= set("abcdefghijklmnopqrstuvwxyz ")
    except MiscError:
        return


LARGE = load_profile().text_coders[4]


@pytest.mark.hub
@pytest.mark.skipif(not LARGE.available, reason="lm-large is not here: `misc pull` fetches it")
def test_lm_large_and_its_bytes() -> None:
    assert LARGE.pack(DLSVC).hex() == "4e26bc1e5df9"
    assert LARGE.unpack(bytes.fromhex("4e26bc1e5df9")) == DLSVC
    text = "A woman rides a horse.\nwoman\nred hair\nhorse\nwhite, brown mane ★"
    assert LARGE.unpack(LARGE.pack(text)) == text


@pytest.mark.parametrize(
    ("word", "bones"),
    [("cat", "ct"), ("Kiss", "cs"), ("jazz", "gs"), ("boxes", "bcs"), ("eye", ""), ("rhythm", "rhthm")],
)
def test_skeletons(word: str, bones: str) -> None:
    assert skeleton(word) == bones
    assert set(bones) <= set(CONSONANTS)


@given(TEXTS)
def test_consonants_keep_skeletons(text: str) -> None:
    line = Consonants().unpack(Consonants().pack(text))
    assert line == skeletons(text)
    assert Consonants().keeps(line)
    assert len(Consonants().pack(text)) == (len(line) + 1) // 2


@given(st.binary(max_size=60))
def test_any_bytes_are_consonants(data: bytes) -> None:
    assert set(Consonants().unpack(data)) <= set(CONSONANTS + " ")


@pytest.mark.hub
@pytest.mark.skipif(not LARGE.available, reason="lm-large is not here: `misc pull` fetches it")
def test_skeletons_become_words() -> None:
    from misc.models.language_model.skeleton import Lexicon, expand, word_accuracy

    model = LARGE.model  # type: ignore[attr-defined]
    assert word_accuracy("the white robe", expand(skeletons("the white robe"), model, Lexicon(model), beam=2)) > 0.6
    assert word_accuracy("a white dog", "a white duck") == 0.5
