"""Whole folders: nothing lost, nothing twice, one row an image."""

import csv
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from misc.cli.many_images import MANIFEST, Batch, find_jobs, run_batch, sum_up, worker
from misc.errors import InputError, WeightsError
from misc.images import decode_image
from misc.pool import Outcome, run_jobs
from tests.support.images import sample_picture

MODES = {"profile": "embedded", "mode": "pixel", "bpp": 1.0}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for number in range(3):
        sample_picture(64, 64, seed=number).save(tmp_path / "in" / f"{number}.png")
    sample_picture(64, 64, seed=7).save(tmp_path / "in" / "sub" / "0.png")
    (tmp_path / "in" / "bad.jpg").write_bytes(b"no image")
    return tmp_path / "in"


def rows(folder: Path) -> dict[str, dict[str, str]]:
    return {row["source"]: row for row in csv.DictReader((folder / MANIFEST).open())}


@pytest.mark.parametrize("ending", [".gif", ".jp2", ".ppm", ".TIF"])
def test_every_image_that_encode_reads_is_found(ending: str, tmp_path: Path) -> None:
    sample_picture(64, 64).save(tmp_path / f"a{ending}")
    (tmp_path / "notes.txt").write_text("no image")
    job, *others = find_jobs(Batch("encode", tmp_path, tmp_path / "out", {}))
    assert (job["source"], others) == (str(tmp_path / f"a{ending}"), [])
    assert decode_image(Path(job["source"]).read_bytes()).image.size == (64, 64)


def test_a_folder_there_and_back(photos: Path, tmp_path: Path) -> None:
    files, images = tmp_path / "files", tmp_path / "images"
    command = [sys.executable, "-m", "misc", "batch"]
    done = subprocess.run(
        [*command, "encode", str(photos), str(files), "--mode", "pixel", "--bpp", "2", "--workers", "1"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "bad.jpg: the input is not an image of a known format" in done.stderr
    assert "Traceback" not in done.stderr
    found = rows(files)
    assert {name: row["state"] for name, row in found.items()} == {
        "0.png": "done",
        "1.png": "done",
        "2.png": "done",
        "bad.jpg": "failed",
        "sub/0.png": "done",
    }
    data = (files / "sub" / "0.png.misc").read_bytes()
    assert found["sub/0.png"]["target_sha256"] == hashlib.sha256(data).hexdigest()
    assert found["sub/0.png"]["target_bytes"] == str(len(data))
    again = [*command, "decode", str(files), str(images), "--draft", "--workers", "1"]
    subprocess.run(again, check=True, capture_output=True)
    assert Image.open(images / "sub" / "0.png.png").size == (64, 64)
    assert len(rows(images)) == 4


def doing(action: Callable[[Mapping[str, Any]], object]) -> Any:
    """A runner that does its jobs here."""

    def run(target: str, setup: Mapping[str, Any], jobs: Any, workers: int) -> Any:
        for job in jobs:
            action(job)
            yield Outcome(job, {})

    return run


def test_what_is_done_is_not_done_again(photos: Path, tmp_path: Path) -> None:
    batch, done = Batch("encode", photos, tmp_path / "out", MODES), []

    def stop_after_two(job: Mapping[str, Any]) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job["source"])
        Path(job["target"]).write_bytes(b"file")

    with pytest.raises(KeyboardInterrupt):
        run_batch(batch, 1, lambda *_: None, doing(stop_after_two))
    assert sorted(row["state"] for row in rows(tmp_path / "out").values()) == ["done"] * 2 + ["open"] * 3
    later: list[str] = []
    run_batch(batch, 1, lambda *_: None, doing(lambda job: later.append(job["source"])))
    assert sorted(done + later) == sorted(job["source"] for job in find_jobs(batch))
    assert not set(done) & set(later)


def test_a_source_that_has_changed_is_told_and_the_manifest_names_the_old_one(photos: Path, tmp_path: Path) -> None:
    batch, told = Batch("encode", photos, tmp_path / "out", MODES), list[str]()
    make = doing(lambda job: Path(job["target"]).write_bytes(b"file"))
    run_batch(batch, 1, lambda *_: None, make, told.append)
    assert told == []
    before = rows(tmp_path / "out")
    (photos / "1.png").write_bytes(b"another image")
    run_batch(batch, 1, lambda *_: None, make, told.append)
    assert told[0] == "5 of 5 results were there already and were not made again"
    assert told[1].startswith(f"{photos / '1.png'}: it has changed since its result was made")
    assert rows(tmp_path / "out") == before
    (tmp_path / "out" / "1.png.misc").unlink()
    run_batch(batch, 1, lambda *_: None, make)
    assert rows(tmp_path / "out")["1.png"]["source_sha256"] == hashlib.sha256(b"another image").hexdigest()


def test_litter_of_a_killed_batch_goes_at_the_next_and_nobody_elses(photos: Path, tmp_path: Path) -> None:
    left = [tmp_path / "out" / ".misc-aaaa.part", tmp_path / "out" / "sub" / ".misc-bbbb.part"]
    other = tmp_path / "out" / "other" / ".misc-cccc.part"  # nothing of this batch goes there
    for path in (*left, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    run_batch(Batch("encode", photos, tmp_path / "out", MODES), 1, lambda *_: None, doing(lambda job: None))
    assert not any(path.exists() for path in left)
    assert other.exists()


def test_one_bad_photo_in_a_hundred_loses_none_of_the_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    (tmp_path / "in").mkdir()
    jobs = 1000
    for number in range(jobs):
        (tmp_path / "in" / f"{number:04}.png").touch()

    def runner(target: str, setup: Mapping[str, Any], todo: Any, workers: int) -> Any:
        return run_jobs("tests.support.jobs:copying", {}, todo, workers)

    failed = run_batch(Batch("encode", tmp_path / "in", tmp_path / "out", MODES), 2, lambda *_: None, runner)
    assert sorted(Path(name).stem for name in failed) == [f"{number:04}" for number in range(0, jobs, 100)]
    states = [row["state"] for row in rows(tmp_path / "out").values()]
    assert (states.count("done"), states.count("failed")) == (990, 10)


def test_a_name_that_is_too_long_for_its_file_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", 248 * "x"):
        sample_picture(64, 64).save(tmp_path / "in" / f"{name}.png")
    for _ in range(2):
        failed = run_batch(Batch("encode", tmp_path / "in", tmp_path / "out", MODES), 1, lambda *_: None)
        assert [(Path(name).stem, error.split(": ")[-1]) for name, error in failed.items()] == [
            (248 * "x", "File name too long")
        ]
    assert sorted(row["state"] for row in rows(tmp_path / "out").values()) == ["done", "failed"]


def test_names_that_differ_by_their_ending_are_two(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).touch()
    jobs = find_jobs(Batch("encode", tmp_path, tmp_path / "out", {}))
    assert len({job["target"] for job in jobs}) == 2


def test_what_files_lack_is_said_at_the_end(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(target: str, setup: Mapping[str, Any], jobs: Any, workers: int) -> Any:
        work = worker(setup)
        return (Outcome(job, work(job)) for job in jobs)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))  # where nothing was pulled
    (photos / "bad.jpg").unlink()
    Image.new("RGBA", (64, 64)).save(photos / "sub" / "0.png")
    told: list[str] = []
    run_batch(Batch("encode", photos, tmp_path / "out", MODES | {"mode": "misc"}), 1, lambda *_: None, run, told.append)
    first, second = told
    assert first.startswith(f"{photos / '0.png'} and 3 more: the text and region streams are left out: the weights")
    assert second == f"{photos / 'sub' / '0.png'}: transparency was laid on white"


def test_many_notices_become_a_few() -> None:
    lines = sum_up({f"{number} words": ["a", "b"] if number == 30 else ["a"] for number in range(40)})
    assert lines[0] == "a and 1 more: 30 words"
    assert lines[1:] == [*(f"a: {number} words" for number in range(9)), "30 more notices are not shown"]


def test_a_name_that_is_not_utf_8_has_a_row_as_all_others(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    odd = tmp_path / "in" / os.fsdecode(b"caf\xe9.png")
    sample_picture(32, 32).save(odd)
    sample_picture(32, 32).save(tmp_path / "in" / "b.png")
    run_batch(
        Batch("encode", tmp_path / "in", tmp_path / "out", MODES),
        1,
        lambda *_: None,
        doing(lambda job: Path(job["target"]).write_bytes(b"file")),
    )
    assert {name: row["state"] for name, row in rows(tmp_path / "out").items()} == {
        r"caf\udce9.png": "done",
        "b.png": "done",
    }


def test_nothing_to_do_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        find_jobs(Batch("encode", tmp_path / "nothing", tmp_path, {}))
    with pytest.raises(InputError, match="nothing to decode"):
        find_jobs(Batch("decode", tmp_path, tmp_path, {}))
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: it is not a folder"):
        run_batch(Batch("encode", tmp_path, tmp_path / "a.png", {}), 1, lambda done, jobs: None)


def test_without_ray_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from misc.cli.ray_runner import runner_at

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"misc-codec\[ray\]"):
        runner_at("local")


def test_ray_loses_nothing_when_a_worker_dies(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    from misc.cli.ray_runner import runner_at

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        jobs: list[dict[str, Any]] = [{"number": k} for k in range(6)]
        jobs[2] |= {"how": "die once", "mark": str(tmp_path / "mark")}
        jobs[4] |= {"how": "input"}
        outcomes = list(runner_at("local")("tests.support.jobs:doubling", {}, jobs, 2))
        with pytest.raises(WeightsError, match="the weights are missing"):
            list(runner_at("local")("tests.support.jobs:doubling", {"fail": True}, [{"number": 1}], 1))
    finally:
        ray.shutdown()
    answers = {each.job["number"]: each.answer and each.answer["twice"] for each in outcomes}
    assert answers == {0: 0, 1: 2, 2: 4, 3: 6, 4: None, 5: 10}
    assert len(outcomes) == 6
    assert next(each.error for each in outcomes if each.job["number"] == 4) == "a bad photo"
