"""The loop: schedule, moving average, resuming, seeds, many processes."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import debug_launcher
from accelerate.state import AcceleratorState
from torch import nn

from misc.errors import WeightsError
from misc.train import loop
from misc.train.loop import LEAST_RATE, Settings, data_seed, learning_rate, run
from misc.train.processes import average_gradients, descend, new_accelerator, stream_seed


class Line:
    """y = 3 x - 1, learned by one linear layer; writes its weight as text."""

    def __init__(self, rate: float = 0.1) -> None:
        torch.manual_seed(1)
        self.line = nn.Linear(1, 1)
        self.networks = {"line": self.line}
        self.optimizers = [torch.optim.AdamW(self.line.parameters(), lr=rate, weight_decay=0)]
        self.accelerator = new_accelerator(0)
        self.seen: list[float] = []
        self.rates: list[float] = []

    def inputs(self) -> torch.Tensor:
        return torch.linspace(-1, 1, 9)[:, None]

    def step(self, step: int, done: float) -> dict[str, float]:
        self.seen.append(done)
        self.rates.append(self.optimizers[0].param_groups[0]["lr"])
        x = self.inputs()
        loss = (self.line(x) - (3 * x - 1)).square().mean()
        descend(loss, self.line, self.optimizers, self.accelerator)
        return {"loss": loss.item(), **({"first": 1.0} if step == 0 else {})}

    def write(self, network: nn.Module, folder: Path) -> None:
        (folder / "weight.txt").write_text(str(network.weight.item()))  # type: ignore[arg-type]


def test_it_learns_writes_the_average_and_reports(tmp_path: Path) -> None:
    task = Line()
    result = run(task, Settings(tmp_path, 60, average=0.9, warm_up=1), task.accelerator)
    assert result["steps"] == 60
    assert result["first"] == 1.0
    assert float(task.line.weight) == pytest.approx(3, abs=0.4)
    average = float((tmp_path / "weight.txt").read_text())
    assert average != float(task.line.weight)
    assert average == pytest.approx(float(task.line.weight), abs=0.5)
    assert list((tmp_path / "log").iterdir())
    assert task.seen == pytest.approx([step / 60 for step in range(60)])
    assert task.rates[0] == pytest.approx(0.1)
    assert task.rates[-1] < 0.01


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, parts = Line(), (Line(), Line())
    settings = {"steps": 20, "average": 0.9, "decay": 1e-6}
    run(whole, Settings(tmp_path / "whole", **settings), whole.accelerator)  # type: ignore[arg-type]
    run(parts[0], Settings(tmp_path / "parts", **settings | {"steps": 8}), whole.accelerator)  # type: ignore[arg-type]
    run(parts[1], Settings(tmp_path / "parts", **settings), whole.accelerator)  # type: ignore[arg-type]
    assert len(parts[1].seen) == 12
    torch.testing.assert_close(parts[1].line.weight, whole.line.weight)
    written = [(tmp_path / each / "weight.txt").read_text() for each in ("whole", "parts")]
    assert written[0] == written[1]
    done = run(parts[1], Settings(tmp_path / "parts", **settings), whole.accelerator)  # type: ignore[arg-type]
    assert done["steps"] == 20
    assert len(parts[1].seen) == 12


class Ticks:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self, seconds: float, _: object) -> None:
        self.seconds = seconds

    def read(self) -> float:
        self.seconds += 1
        return self.seconds


def test_a_clock_ends_a_run_and_counts_all_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "Clock", Ticks)
    task = Line()
    result = run(task, Settings(tmp_path, minutes=0.5), task.accelerator)
    assert result == {"steps": 29, "seconds": 30} | {name: result[name] for name in ("loss", "first")}
    assert task.seen == pytest.approx([step / 30 for step in range(1, 30)])
    more = Line()
    assert run(more, Settings(tmp_path, minutes=1), more.accelerator)["seconds"] == 60
    assert more.seen[0] == pytest.approx(31 / 60)


def test_states_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    task = Line()
    (tmp_path / "state.pt").write_bytes(b"PK damaged")
    with pytest.raises(WeightsError, match=r"state\.pt is not the state of a run"):
        run(task, Settings(tmp_path, 1), task.accelerator)
    with pytest.raises(WeightsError, match="not the state"):
        data_seed(tmp_path, 0, task.accelerator)
    run(task, Settings(tmp_path / "other", 1), task.accelerator)
    wide = Line()
    wide.line = wide.networks["line"] = nn.Linear(2, 1)
    with pytest.raises(WeightsError, match="state of another run"):
        run(wide, Settings(tmp_path / "other", 2), task.accelerator)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    assert [learning_rate(step, 0, 0.3, 4) for step in (0, 1, 3, 50)] == [0.25, 0.5, 1, 1]
    assert learning_rate(99, 0.7, 0.3) == 1
    assert learning_rate(99, 0.85, 0.3) == pytest.approx(0.5)
    assert learning_rate(99, 0.775, 0.3, fade="linear") == pytest.approx(0.75)
    assert learning_rate(99, 0.775, 0.3) > 0.8
    assert learning_rate(99, 1.0, 0.3) == learning_rate(99, 1.0, 0.3, fade="linear") == LEAST_RATE
    assert learning_rate(99, 0.99, 0) == 1


def test_seeds_differ_by_process_session_and_run(tmp_path: Path) -> None:
    seeds = {stream_seed(seed, rank, step) for seed in range(3) for rank in range(4) for step in (0, 1, 500)}
    assert len(seeds) == 36
    assert all(0 <= seed < 2**31 for seed in seeds)
    ranks = [SimpleNamespace(process_index=rank) for rank in range(2)]
    before = [data_seed(tmp_path, 0, rank) for rank in ranks]  # type: ignore[arg-type]
    task = Line()
    run(task, Settings(tmp_path, 3), task.accelerator)
    after = [data_seed(tmp_path, 0, rank) for rank in ranks]  # type: ignore[arg-type]
    assert len({*before, *after}) == 4
    assert after == [data_seed(tmp_path, 0, rank) for rank in ranks]  # type: ignore[arg-type]


class Dots(Line):
    """The same line, learned by dots at random places, from other weights in every process."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[torch.Tensor] = []
        torch.nn.init.constant_(self.line.weight, float(self.accelerator.process_index))

    def inputs(self) -> torch.Tensor:
        self.drawn.append(torch.rand(9, 1))
        return self.drawn[-1]


def two_processes(out: Path) -> None:
    AcceleratorState._reset_state(True)  # what the parent process left
    task = Dots()
    rank, seed = task.accelerator.process_index, data_seed(out, 0, task.accelerator)
    run(task, Settings(out, 3), task.accelerator)
    torch.save([task.line.weight.detach(), torch.stack(task.drawn), seed], out / f"{rank}.pt")


def test_two_processes_learn_the_same_weights_from_batches_of_their_own(tmp_path: Path) -> None:
    debug_launcher(two_processes, (tmp_path,), num_processes=2)
    (weight, drawn, seed), (other_weight, other_drawn, other_seed) = (
        torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)
    )
    assert torch.equal(weight, other_weight)
    assert not (drawn == other_drawn).any()
    assert seed != other_seed
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 3


def test_processes_average_their_gradients() -> None:
    line = nn.Linear(2, 1)
    line(torch.ones(1, 2)).sum().backward()
    halved = SimpleNamespace(num_processes=2, reduce=lambda tensor, how: tensor / 2 if how == "mean" else tensor)
    average_gradients(line, halved)  # type: ignore[arg-type]
    assert line.weight.grad is not None
    assert line.weight.grad.tolist() == [[0.5, 0.5]]
