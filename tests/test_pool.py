import os
import time
from pathlib import Path

import pytest

from misc.errors import WeightsError
from misc.pool import run_jobs

DOUBLING = "tests.support.jobs:doubling"


@pytest.fixture(autouse=True)
def jobs_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


def test_every_job_has_one_outcome_and_a_process_takes_many(tmp_path: Path) -> None:
    outcomes = list(run_jobs(DOUBLING, {}, [{"number": k} for k in range(20)], 2, tmp_path / "log"))
    assert sorted(each.answer["twice"] for each in outcomes if each.answer) == [2 * k for k in range(20)]
    assert 1 <= len({each.answer["pid"] for each in outcomes if each.answer}) <= 2
    assert "a library talks" in (tmp_path / "log").read_text()


def test_two_processes_work_at_once() -> None:
    list(run_jobs(DOUBLING, {}, [{"number": 0}] * 2, 2))
    start = time.perf_counter()
    outcomes = list(run_jobs(DOUBLING, {}, [{"number": k, "seconds": 1} for k in range(2)], 2))
    assert len({each.answer["pid"] for each in outcomes if each.answer}) == 2
    assert time.perf_counter() - start < 60  # a busy machine is no failure


@pytest.mark.parametrize(
    ("how", "error", "kind"),
    [
        ("input", "a bad photo", "InputError"),
        ("bug", "ZeroDivisionError", "ZeroDivisionError"),
        ("die", "the process died with status -9", "died"),
    ],
)
def test_a_failing_job_fails_alone(how: str, error: str, kind: str) -> None:
    outcomes = list(run_jobs(DOUBLING, {}, [{"number": 1}, {"number": 2, "how": how}, {"number": 3}]))
    assert [each.answer and each.answer["twice"] for each in outcomes] == [2, None, 6]
    assert (outcomes[1].error, outcomes[1].kind) == (error, kind)


def test_a_job_whose_process_died_is_tried_again(tmp_path: Path) -> None:
    job = {"number": 4, "how": "die once", "mark": str(tmp_path / "mark")}
    (outcome,) = run_jobs(DOUBLING, {}, [job])
    assert outcome.answer
    assert outcome.answer["twice"] == 8


def test_what_cannot_be_prepared_stops_all() -> None:
    with pytest.raises(WeightsError, match="the weights are missing"):
        list(run_jobs(DOUBLING, {"fail": True}, [{"number": 1}] * 3, 2))


def test_processes_end_with_the_loop() -> None:
    loop = run_jobs(DOUBLING, {}, [{"number": k, "seconds": 30 * (k > 0)} for k in range(3)], 2)
    first = next(loop)
    assert first.answer
    loop.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first.answer["pid"], 0)
    assert list(run_jobs(DOUBLING, {}, [])) == []


def test_processes_run_no_code_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("numpy", "queue", "json"):
        (tmp_path / f"{name}.py").write_text("open('run', 'w')")
    monkeypatch.chdir(tmp_path)
    (outcome,) = run_jobs(DOUBLING, {}, [{"number": 4}])
    assert outcome.answer
    assert not (tmp_path / "run").exists()
