"""A run by files: every codec from the file alone, from where it was killed, with what failed told apart."""

import contextlib
import dataclasses
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from misc.cli.eval import progress_bars
from misc.errors import InputError
from misc.eval.codecs import expand
from misc.eval.report import collect
from misc.eval.run import Plan, Troubles, claim, metrics_of, run
from misc.eval.store import Store, find_photos, parse_rates, read_json, write_json
from tests.support.images import sample_picture

RATES = (0.5, 1.0, 2.0, 4.0)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        sample_picture(96, 64, seed=number).save(folder / f"{number}.png")
    return folder


def go(photos: Path, out: Path, codecs: list[str], commands: tuple[str, ...] = (), rates: object = RATES) -> Troubles:
    plan = Plan(find_photos(photos), expand(codecs, commands), tuple(rates), out, ["psnr"], workers=2)  # type: ignore[arg-type]
    return run(plan, lambda *_: None)


def logging_codec(folder: Path, seconds: float = 0) -> str:
    """A codec by command that notes every photo that it encodes or decodes, and takes its time."""
    script = folder / "codec.py"
    script.write_text(
        "import shutil, sys, time\n"
        f"open({str(folder / 'calls')!r}, 'a').write(sys.argv[1] + chr(10))\n"
        f"time.sleep({seconds})\n"
        "shutil.copy(sys.argv[2], sys.argv[3])\n"
    )
    python = f"{sys.executable} {script}"
    return f"slow: {python} enc {{in}} {{out}} {{bpp}} / {python} dec {{in}} {{out}}"


def test_all_is_measured_by_the_bytes_on_disk(photos: Path, tmp_path: Path) -> None:
    troubles = go(photos, tmp_path / "out", ["jpeg", "webp/2"])
    results = collect(Store(tmp_path / "out"), troubles.codecs, troubles.photos)
    assert not troubles.codecs
    assert not any(troubles.photos.values())
    for name, codec in results.codecs.items():
        assert set(codec.points) == {"0.png", "1.png", "2.png"}
        for photo, by_rate in codec.points.items():
            for rate, point in by_rate.items():
                file = Store(tmp_path / "out").codec(name) / rate / f"{photo}.bin"
                assert point.bytes == file.stat().st_size
                assert point.bpp == pytest.approx(8 * point.bytes / (96 * 64))
                assert point.bpp <= float(rate)
                assert point.streams == {"file": point.bytes}
                assert point.values["psnr"] > 10
    jpeg = results.codecs["jpeg"]
    assert jpeg.mean("4", "psnr") > jpeg.mean("2", "psnr")
    assert all("smallest file" in reason for by_rate in jpeg.none.values() for reason in by_rate.values())


def test_seconds_of_codecs_and_of_processes_add_up_over_runs(photos: Path, tmp_path: Path) -> None:
    out, slow = tmp_path / "out", (logging_codec(tmp_path, seconds=0.2),)
    go(photos, out, [], slow, rates=(20.0,))
    first = collect(Store(out), {}, {}).run["seconds"]
    assert first["codecs"] > 3 * 2 * 0.2, "three photos, encoded and decoded"
    assert first["encoding"] + first["decoding"] > first["codecs"]
    assert first["measuring"] > 0
    go(photos, out, [], slow, rates=(20.0,))
    assert collect(Store(out), {}, {}).run["seconds"] == first, "nothing was left to do"
    go(photos, out, [], slow, rates=(20.0, 30.0))
    again = collect(Store(out), {}, {}).run["seconds"]
    assert all(again[name] > first[name] for name in first)


def test_the_decoder_sees_the_file_alone(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(photos, out, ["jpeg"], rates=(2.0,))
    for path in out.glob("codecs/jpeg/*/*.png"):
        path.unlink()
    first, second = (out / "codecs/jpeg/2" / f"{k}.png.bin" for k in (0, 1))
    first.write_bytes(second.read_bytes())
    for path in out.glob("codecs/jpeg/*/*.figures.json"):
        path.unlink()
    go(photos, out, ["jpeg"], rates=(2.0,))
    images = [(out / "codecs/jpeg/2" / f"{k}.png.png").read_bytes() for k in (0, 1)]
    assert images[0] == images[1]


@pytest.mark.slow(why="it is killed and begins again, by new processes each time")
def test_finished_work_is_not_repeated_after_kill_9(photos: Path, tmp_path: Path) -> None:
    out, calls = tmp_path / "out", tmp_path / "calls"
    arguments = ["eval", "run", str(photos), "--out", str(out), "--codecs", "", "--bpp", "50,60", "--workers", "1"]
    command = [sys.executable, "-m", "misc", *arguments, "--metrics", "psnr", "--codec-cmd", logging_codec(tmp_path, 1)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and len(list(out.glob("codecs/*/*/*.bin"))) < 3:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)
    finished = {path: path.stat().st_mtime_ns for path in out.glob("codecs/*/*/*.bin")}
    assert 3 <= len(finished) < 6
    begun = len(calls.read_text().split())
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert calls.read_text().split()[begun:].count("enc") == 6 - len(finished)
    assert calls.read_text().split().count("dec") == 6
    before = calls.read_text()
    subprocess.run(command, stderr=subprocess.DEVNULL, check=True)
    assert calls.read_text() == before
    assert json.loads((out / "results.json").read_text())["codecs"]["slow"]["points"]["2.png"]["60"]["bytes"] > 0


@pytest.mark.slow(why="each codec has two processes of its own")
def test_a_bad_photo_and_a_missing_rival_stop_nobody(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "1b.png").write_bytes(b"not an image")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    troubles = go(photos, tmp_path / "out", ["compressai:bmshj2018-hyperprior", "webp"], rates=(4.0,))
    assert "no weights in torch's cache" in troubles.codecs["compressai:bmshj2018-hyperprior"]
    assert troubles.photos["webp"] == {"1b.png": "encoding: the input is not an image of a known format"}
    results = collect(Store(tmp_path / "out"), troubles.codecs, troubles.photos)
    assert set(results.codecs["webp"].points) == {"0.png", "1.png", "2.png"}


def test_a_folder_is_of_one_run(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(photos, out, ["jpeg"], rates=(4.0,))
    sample_picture(96, 64, seed=9).save(photos / "0.png")
    with pytest.raises(InputError, match="other photos"):
        go(photos, out, ["jpeg"], rates=(4.0,))


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("0.024", [0.024]),
        ("0.05,0.01", [0.01, 0.05]),
        ("0.01..0.04:3", [0.01, 0.02, 0.04]),
    ],
)
def test_rates(text: str, rates: list[float]) -> None:
    assert parse_rates(text) == pytest.approx(rates)
    assert len(parse_rates("0.003..0.05")) == 7


@pytest.mark.parametrize("text", ["", "a", "0", "-1..2", "1..b", "0.1..0.2:0", "0.1..0.2:99999999999"])
def test_bad_rates_are_one_sentence(text: str) -> None:
    with pytest.raises(InputError, match="rates are"):
        parse_rates(text)


def test_a_photo_whose_name_is_not_utf_8_has_its_place(tmp_path: Path) -> None:
    facts = {"photos": {os.fsdecode(b"caf\xe9.png"): "digest"}}
    write_json(tmp_path / "run.json", facts)
    assert read_json(tmp_path / "run.json") == facts


def test_a_codecs_name_is_no_markup_of_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as watched:
        monkeypatch.setattr(sys, "stderr", watched)
        with progress_bars() as progress:
            progress("a[/b]: encoding", 1, 1)
    seen = b""
    with contextlib.suppress(OSError):  # at the end, because the terminal is closed
        while part := os.read(screen, 10_000):  # one call may give only a part
            seen += part
    os.close(screen)
    assert b"a[/b]: encoding" in seen


def test_bad_demands_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no"):
        find_photos(tmp_path / "nothing")
    with pytest.raises(InputError, match="no photos in"):
        find_photos(tmp_path)
    with pytest.raises(InputError, match="no metric 'fid'"):
        metrics_of("psnr,fid")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: it is not a folder"), claim(tmp_path / "file"):
        pass
    with pytest.raises(InputError, match="no codec to run"):
        expand([])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["run", ".", "--out", "new", "--bpp", "inf"],
            "misc: rates are above 0 and below 100 bits per pixel, not 'inf'",
        ),
        (["run", ".", "--out", "new", "--bpp", "low"], "misc: rates are given as 0.01,0.024 or 0.003..0.05, not 'low'"),
        (["run", ".", "--out", "new", "--codecs", "misc:text@x"], "misc: there is no profile 'x'; there is embedded"),
        (["run", ".", "--out", "new", "--codecs", "misc:x"], "misc: there is no mode 'x' of misc"),
        (["run", ".", "--out", "new", "--codecs", "x"], "misc: there is no codec 'x'"),
        (["run", ".", "--out", "new", "--metrics", "x"], "misc: there is no metric 'x'"),
        (["budget", "--data", ".", "--profile", "x"], "misc: there is no profile 'x'"),
        (["budget", "--data", ".", "--bpp", "inf"], "misc: bpp is a number of bits per pixel from 0 to"),
    ],
)
def test_wrong_options_are_errors_of_usage(
    misc_command, photos: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(photos)
    before = sorted(photos.iterdir())
    code, out, err = misc_command("eval", *arguments)
    assert (code, out.strip()) == (2, "")  # a progress bar of `budget` ends its line
    assert words in err
    assert "Traceback" not in err
    assert sorted(photos.iterdir()) == before


def test_a_ray_cluster_gives_what_this_machine_gives(photos: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    from misc.cli.ray_runner import runner_at

    here = go(photos, tmp_path / "here", ["jpeg"])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        plan = Plan(find_photos(photos), expand(["jpeg"]), RATES, tmp_path / "there", ["psnr"], workers=2)
        there = run(dataclasses.replace(plan, runner=runner_at("local")), lambda *_: None)
    finally:
        ray.shutdown()
    assert not here.photos
    assert not there.photos
    figures = [
        {(photo, rate): (p.bytes, p.values) for photo, row in codec.points.items() for rate, p in row.items()}
        for out in ("here", "there")
        for codec in collect(Store(tmp_path / out), {}, {}).codecs.values()
    ]
    assert len(figures[0]) == 9  # no JPEG is as small as the lowest rate
    assert figures[0] == figures[1]


def test_what_failed_is_told_and_where_its_errors_are(misc_command, photos: Path, tmp_path: Path) -> None:
    command = f"fails: {sys.executable} -c exit(3) {{in}} {{out}} {{bpp}} / true {{in}} {{out}}"
    words = ["run", photos, "--out", tmp_path / "out", "--codecs", " jpeg , ", "--bpp", "4", "--workers", "1"]
    code, _, err = misc_command("eval", *words, "--limit", "1", "--metrics", "psnr,lpips", "--codec-cmd", command)
    assert code == 1
    assert "misc: fails, 0.png: encoding: " in err
    assert "misc: LPIPS is missing: " in err
    assert f"misc: {tmp_path / 'out' / 'log.txt'} has every error with its traceback" in err
    assert "failed with status 3" in (tmp_path / "out" / "log.txt").read_text()


def test_published_figures_are_shown_from_any_folder(
    misc_command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = misc_command("eval", "published")
    assert (code, err) == (0, "")
    assert "PerCo" in out
