"""Watchers look and do not touch; the fence around those of third parties."""

import json
import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Generator, nn

from ebmkit.files import replacing
from ebmkit.pictures import beside, grid
from ebmkit.shortrun import ShortRun
from ebmkit.watchers import draw_pictures, scalars_of, stop_if_diverged, write_checkpoints, write_metrics
from ebmkit.data.examples import Examples
from ebmkit.energies.mlp import MLP
from ebmkit.errors import Diverged, UsageError
from ebmkit.runs.isolation import isolated
from ebmkit.inits.replay import Replay
from ebmkit.inits.uniform import Uniform
from ebmkit.samplers.hmc import HMC
from ebmkit.samplers.langevin import Langevin
from ebmkit.methods.maximum_likelihood import Update, Trainer

SHAPE = (1, 8, 8)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def trainer(sampler: Any = None, *, shape: tuple[int, ...] = SHAPE, lr: float = 0.01, **settings: Any) -> Trainer:
    torch.manual_seed(0)
    energy = MLP(shape, width=4, depth=1)
    optimizer = torch.optim.Adam(energy.parameters(), lr=lr)
    return Trainer(energy, sampler or Langevin(steps=4), Replay(shape, size=100), optimizer, rng(), **settings)


def examples(shape: tuple[int, ...] = SHAPE) -> Examples:
    return Examples(torch.rand(50, *shape, generator=rng(9)) * 2 - 1)


def updates(training: Trainer, count: int, shape: tuple[int, ...] = SHAPE) -> Iterator[Update]:
    source = examples(shape)
    for index in range(training.index, training.index + count):
        yield training.update(source.fetch(torch.arange(index, index + 8)))


def made_up(index: int, **changes: Any) -> Update:
    """A step with easy figures."""
    values: dict[str, Any] = {
        "index": index,
        "loss": torch.tensor(0.5),
        "real_energy": torch.tensor([1.0, 3.0]),
        "fake_energy": torch.tensor([0.0, 1.0]),
        "fake": torch.zeros(2, 1, 4, 4),
        "gradient_norm": torch.tensor(7.0),
        "chain": {"displacement": torch.tensor(0.25)},
    }
    return Update(**values | changes)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def saved(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "checkpoint.pt", weights_only=True)
    return state


def store(folder: Path, state: Any) -> None:
    """Write a checkpoint as a run does."""
    with replacing(folder / "checkpoint.pt") as new:
        torch.save(state, new)


def keeping(steps: Iterator[Update], training: Trainer, folder: Path, **settings: Any) -> Iterator[Update]:
    return write_checkpoints(steps, training, lambda: store(folder, training.state_dict()), **settings)


WATCHERS: dict[str, Callable[[Iterator[Update], Trainer, Path], Iterator[Update]]] = {
    "divergence": lambda steps, _, __: stop_if_diverged(steps),
    "metrics": write_metrics,
    "checkpoints": lambda steps, training, folder: keeping(steps, training, folder, every=2),
    "pictures": lambda steps, training, folder: draw_pictures(
        steps, training, folder, examples(), 5, every=2, count=4, chains=2
    ),
    "isolated": lambda steps, _, __: isolated(lambda inner: (step for step in inner), steps, pytest.fail),
}


@pytest.mark.parametrize("name", WATCHERS)
def test_a_watcher_yields_every_step_once_and_unchanged(name, tmp_path):
    training = trainer()
    steps = list(updates(training, 5))
    assert list(map(id, WATCHERS[name](iter(steps), training, tmp_path))) == list(map(id, steps))


@pytest.mark.parametrize("name", WATCHERS)
def test_a_watcher_asks_for_no_step_before_it_is_asked(name, tmp_path):
    training = trainer()
    watched = WATCHERS[name](updates(training, 5), training, tmp_path)
    assert training.index == 0
    next(watched)
    assert training.index == 1
    next(watched)
    assert training.index == 2
    watched.close()


def test_measures_are_means_by_name():
    assert scalars_of(made_up(1)) == {
        "loss": 0.5,
        "gap": 1.5,
        "real_energy": 2.0,
        "fake_energy": 0.5,
        "gradient_norm": 7.0,
        "displacement": 0.25,
    }


def test_metrics_are_a_line_for_each_step(tmp_path):
    training = trainer()
    steps = list(write_metrics(updates(training, 3), training, tmp_path))
    for line, step in zip(lines(tmp_path), steps, strict=True):
        assert line["update"] == step.index
        assert {key: line[key] for key in scalars_of(step)} == scalars_of(step)
        assert line["noise_size"] == pytest.approx(0.01 * math.sqrt(64))
        assert line["seconds_per_update"] > 0
        assert {"gap", "start_gradient", "end_gradient", "displacement", "gradient_norm"} <= set(line)


def test_metrics_of_hmc_hold_the_acceptance(tmp_path):
    training = trainer(HMC(steps=2, leapfrog=2))
    list(write_metrics(updates(training, 2), training, tmp_path))
    assert all(0 <= line["accepted"] <= 1 and line["nonfinite"] == 0 for line in lines(tmp_path))
    assert "noise_size" not in lines(tmp_path)[0]


@pytest.mark.parametrize(("every", "indices"), [(0, []), (1, [1, 2, 3, 4, 5]), (2, [2, 4])])
def test_metrics_are_written_at_each_nth_step(every, indices, tmp_path):
    list(write_metrics(map(made_up, range(1, 6)), trainer(), tmp_path, every=every))
    assert [line["update"] for line in lines(tmp_path)] == indices


def test_metrics_are_on_disk_as_soon_as_their_step_is_out(tmp_path):
    steps = write_metrics(map(made_up, range(1, 6)), trainer(), tmp_path)
    for index in (1, 2):
        next(steps)
        assert len(lines(tmp_path)) == index


def test_metrics_are_appended(tmp_path):
    list(write_metrics(map(made_up, [1, 2]), trainer(), tmp_path))
    list(write_metrics(map(made_up, [3]), trainer(), tmp_path))
    assert [line["update"] for line in lines(tmp_path)] == [1, 2, 3]


BROKEN = [
    {"loss": torch.tensor(math.nan)},
    {"gradient_norm": torch.tensor(math.inf)},
    {"real_energy": torch.tensor([0.0, 3e8])},
    {"fake_energy": torch.tensor([-3e8, 0.0])},
    {"chain": {"end_gradient": torch.tensor(math.nan)}},
]


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: next(iter(change)))
def test_divergence_stops_at_its_step_and_says_what_to_try(change):
    seen = []
    steps = stop_if_diverged(made_up(index, **(change if index == 3 else {})) for index in range(1, 6))
    with pytest.raises(Diverged) as raised:
        seen.extend(step.index for step in steps)
    assert seen == [1, 2]
    message = str(raised.value)
    assert "diverged at update 3" in message
    name, values = next(iter(change.items()))
    assert (next(iter(values)) if name == "chain" else name) in message or "gap" in message
    for remedy in ("optimizer.lr", "sampler.steps", "train.data_noise", "train.energy_l2"):
        assert remedy in message
    assert "\n" not in message


def test_large_figures_that_are_no_energies_pass():
    step = made_up(1, gradient_norm=torch.tensor(1e12), loss=torch.tensor(-1e12))
    assert list(stop_if_diverged(iter([step]))) == [step]


@pytest.mark.parametrize(("every", "seen"), [(0, 5), (2, 3), (3, 2), (5, 4)])
def test_divergence_looks_at_each_nth_step(every, seen):
    out = []
    steps = stop_if_diverged(
        (made_up(index, loss=torch.tensor(math.nan)) if index > 2 else made_up(index) for index in range(1, 6)),
        every=every,
    )
    try:
        for step in steps:
            out.append(step.index)
    except Diverged:
        assert out[-1] + 1 == {2: 4, 3: 3, 5: 5}[every]
    assert len(out) == seen


def test_the_limit_of_divergence_can_be_set():
    assert list(stop_if_diverged(iter([made_up(1)]), limit=3.0))
    with pytest.raises(Diverged, match="real_energy is 2"):
        list(stop_if_diverged(iter([made_up(1)]), limit=1.9))


def test_a_checkpoint_is_written_at_the_first_step_at_each_nth_and_at_the_end(tmp_path):
    training, written = trainer(), []
    for step in keeping(updates(training, 5), training, tmp_path, every=2):
        written.append((step.index, saved(tmp_path)["index"]))
    assert written == [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4)]
    assert saved(tmp_path)["index"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_period_of_zero_keeps_the_first_and_the_last(tmp_path):
    training = trainer()
    written = [saved(tmp_path)["index"] for _ in keeping(updates(training, 4), training, tmp_path, every=0)]
    assert written == [1] * 4
    assert saved(tmp_path)["index"] == 4


def test_a_consumer_that_leaves_saves_the_last_step(tmp_path):
    training = trainer()
    steps = keeping(updates(training, 5), training, tmp_path, every=0)
    list(islice(steps, 3))
    assert saved(tmp_path)["index"] == 1
    steps.close()
    state = saved(tmp_path)
    assert state["index"] == 3
    assert all(torch.equal(state["energy"][key], value) for key, value in training.energy.state_dict().items())


def test_an_exception_in_the_loop_does_not_save(tmp_path):
    training = trainer()

    def failing() -> Iterator[Update]:
        yield from updates(training, 2)
        training.update(examples().fetch(torch.arange(8)))
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        list(keeping(failing(), training, tmp_path, every=0))
    assert saved(tmp_path)["index"] == 1


def iter_nothing() -> Iterator[None]:
    """A generator, which cannot be stored."""
    yield


def spoil(energy: nn.Module) -> None:
    with torch.no_grad():
        next(energy.parameters()).view(-1)[0] = math.inf


@pytest.mark.parametrize("leave", ["go on", "close"])
def test_weights_that_are_not_finite_are_never_written_over_a_checkpoint(tmp_path, leave):
    training = trainer()
    steps = keeping(updates(training, 5), training, tmp_path, every=2)
    list(islice(steps, 3))
    spoil(training.energy)
    with pytest.raises(Diverged, match=r"weights are not finite; try a lower optimizer\.lr"):
        steps.close() if leave == "close" else list(steps)
    assert saved(tmp_path)["index"] == 2


def test_a_failed_write_keeps_the_old_checkpoint_and_leaves_no_litter(tmp_path):
    store(tmp_path, {"index": 1})
    with pytest.raises(TypeError, match="pickle"):
        store(tmp_path, {"index": iter_nothing()})
    assert saved(tmp_path) == {"index": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def draw(training: Trainer, folder: Path, iterations: int, **settings: Any) -> list[int]:
    steps = map(made_up, range(1, iterations + 1))
    assert len(list(draw_pictures(steps, training, folder, examples(), iterations, **settings))) == iterations
    return sorted(int(path.stem) for path in (folder / "samples").glob("*.png"))


@pytest.mark.parametrize(
    ("every", "drawn"), [(None, [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 21]), (0, []), (9, [9, 18, 21])]
)
def test_pictures_are_drawn_at_each_nth_step_and_at_the_last(every, drawn, tmp_path):
    assert draw(trainer(Langevin(steps=1)), tmp_path, 21, every=every, count=1, chains=1) == drawn
    assert sorted(int(path.stem) for path in (tmp_path / "chains").glob("*.png")) == drawn


def test_pictures_show_real_examples_samples_and_the_chain(tmp_path):
    assert draw(trainer(), tmp_path, 2, every=2, count=4, chains=3) == [2]
    with Image.open(tmp_path / "samples" / "000002.png") as sheet, Image.open(tmp_path / "chains" / "000002.png") as s:
        # Two panels of two by two tiles of 48 pixels; five columns of three tiles.
        assert sheet.height == 18 + 2 * 48 + 2 + 16
        assert s.size == (5 * 48 + 6 * 16, 18 + 3 * 48 + 2 * 2 + 16)
        assert len(sheet.getcolors()) > 20


def test_the_strip_shows_five_even_steps_of_the_chain():
    short = ShortRun(trainer().energy, Langevin(steps=20), Uniform(SHAPE))
    end, trajectory = short.trace(6, rng(2), rows=4)
    draws = rng(2)
    start = short.init.sample(6, draws)
    assert list(trajectory) == [0, 5, 10, 15, 20]
    assert torch.equal(trajectory[0], start[:4])
    assert torch.equal(trajectory[20], end[:4])
    assert torch.equal(end, short.sampler.sample(short.energy, start, draws))


def test_pictures_are_of_the_averaged_model(tmp_path):
    training = trainer(average=0.5)
    list(draw_pictures(updates(training, 3), training, tmp_path, examples(), 3, every=3, count=4, chains=2))
    real = examples().fetch(torch.randint(50, (4,), generator=rng()))

    def sheet(energy: nn.Module) -> Image.Image:
        samples, _ = ShortRun(energy, training.sampler, training.init).trace(4, rng(), rows=2)
        return beside({"real": grid(real, 2), "samples, update 3": grid(samples, 2)})

    with Image.open(tmp_path / "samples" / "000003.png") as drawn:
        assert drawn.convert("RGB") == sheet(training.model)
        assert drawn.convert("RGB") != sheet(training.energy)


def test_pictures_of_points_are_clouds(tmp_path):
    training = trainer(shape=(2,))
    points = Examples(torch.randn(80, 2, generator=rng(1)))
    list(draw_pictures(updates(training, 1, (2,)), training, tmp_path, points, 1, count=1, chains=1))
    with Image.open(tmp_path / "samples" / "000001.png") as sheet:
        assert sheet.size == (2 * 288 + 3 * 16, 18 + 288 + 16)


def test_examples_that_cannot_be_drawn_are_left_alone(tmp_path):
    training = trainer(shape=(5,))
    steps = draw_pictures(updates(training, 2, (5,)), training, tmp_path, examples((5,)), 2, every=1)
    assert len(list(steps)) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", [{}, {"average": 0.9}], ids=["plain", "averaged"])
def test_pictures_change_nothing_in_training(settings, tmp_path):
    figures, ends = [], []
    for every in (0, 1):
        training = trainer(**settings)
        steps = draw_pictures(updates(training, 4), training, tmp_path, examples(), 4, every=every, count=4, chains=2)
        figures.append([scalars_of(step) for step in steps])
        ends.append(training.state_dict())
    assert len(list(tmp_path.glob("*/*.png"))) == 8
    assert figures[0] == figures[1]
    for part in ("energy", "average", "init"):
        assert all(torch.equal(value, ends[1][part][key]) for key, value in ends[0][part].items())
    assert torch.equal(ends[0]["rng"], ends[1]["rng"])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: stop_if_diverged(iter([]), every=-1),
        lambda: stop_if_diverged(iter([]), limit=0.0),
        lambda: write_metrics(iter([]), trainer(), Path(), every=-1),
        lambda: keeping(iter([]), trainer(), Path(), every=-1),
        lambda: draw_pictures(iter([]), trainer(), Path(), examples(), 1, every=-1),
        lambda: draw_pictures(iter([]), trainer(), Path(), examples(), 1, count=0),
        lambda: draw_pictures(iter([]), trainer(), Path(), examples(), 1, count=4, chains=5),
    ],
)
def test_settings_out_of_range_are_refused_at_the_call(wrong):
    with pytest.raises(UsageError, match="must be"):
        wrong()


def fenced(watcher: Any, count: int = 5) -> tuple[list[int], list[str]]:
    """The steps that come out of a fence around `watcher`, and what it warned of."""
    warnings: list[str] = []
    steps = [made_up(index) for index in range(1, count + 1)]
    out = list(isolated(watcher, iter(steps), warnings.append))
    assert all(step is steps[step.index - 1] for step in out)
    return [step.index for step in out], warnings


@pytest.mark.parametrize("error", [ValueError, SystemExit], ids=["error", "sys.exit"])
@pytest.mark.parametrize("at", [1, 3, 5])
@pytest.mark.parametrize("late", [False, True], ids=["before its yield", "after its yield"])
def test_a_watcher_that_raises_is_switched_off_with_one_warning_and_no_step_lost(error, at, late):
    def watcher(steps):
        for step in steps:
            if step.index == at and not late:
                raise error("bad\nnews")
            yield step
            if step.index == at:
                raise error("bad\nnews")

    assert fenced(watcher) == ([1, 2, 3, 4, 5], [f"switched off: {error.__name__}: bad news"])


def test_a_watcher_that_raises_before_its_first_step_is_switched_off():
    def watcher(steps):
        raise RuntimeError("no")
        yield from steps

    assert fenced(watcher) == ([1, 2, 3, 4, 5], ["switched off: RuntimeError: no"])


def test_a_watcher_that_gives_nothing_to_iterate_is_switched_off():
    out, warnings = fenced(lambda steps: None)
    assert out == [1, 2, 3, 4, 5]
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "watcher",
    [
        lambda steps: islice(steps, 2),
        lambda steps: (step for step in steps if step.index % 2 == 0),
        lambda steps: (step for step in steps for _ in range(3)),
        lambda steps: ("something else" for _ in steps),
        lambda steps: iter(list(steps)),
        lambda steps: iter([]),
        lambda steps: [],
    ],
    ids=["stops early", "leaves out", "repeats", "alters", "hoards", "gives none", "is no iterator"],
)
def test_a_watcher_can_neither_lose_nor_repeat_nor_change_a_step(watcher):
    assert fenced(watcher) == ([1, 2, 3, 4, 5], [])


def failing_loop() -> Iterator[Update]:
    yield made_up(1)
    raise Diverged("diverged at update 2")


def wrapping(steps):
    try:
        yield from steps
    except Exception as error:
        raise RuntimeError("mine") from error


def swallowing(steps):
    try:
        yield from steps
    except Exception:
        return


@pytest.mark.parametrize("watcher", [lambda steps: (step for step in steps), wrapping, swallowing])
def test_what_the_loop_raises_passes_through_whatever_the_watcher_makes_of_it(watcher):
    steps = isolated(watcher, failing_loop(), pytest.fail)
    assert next(steps).index == 1
    with pytest.raises(Diverged, match="update 2"):
        next(steps)


def test_what_the_loop_raises_after_the_watcher_was_switched_off_passes_through():
    def watcher(steps):
        raise ValueError
        yield from steps

    warnings: list[str] = []
    steps = isolated(watcher, failing_loop(), warnings.append)
    assert next(steps).index == 1
    with pytest.raises(Diverged):
        next(steps)
    assert len(warnings) == 1


def tidy(log: list[str]) -> Any:
    def watcher(steps):
        try:
            yield from steps
        finally:
            log.append("tidied")

    return watcher


@pytest.mark.parametrize("how", ["end", "close", "error"])
def test_the_clean_up_of_a_watcher_runs(how):
    log: list[str] = []
    if how == "error":
        with pytest.raises(Diverged):
            list(isolated(tidy(log), failing_loop(), pytest.fail))
    else:
        steps = isolated(tidy(log), map(made_up, range(1, 4)), pytest.fail)
        next(steps)
        steps.close() if how == "close" else list(steps)
    assert log == ["tidied"]


def test_a_watcher_that_raises_in_its_clean_up_does_not_disturb_the_end_of_a_run():
    def watcher(steps):
        try:
            yield from steps
        finally:
            raise OSError("disk full")

    warnings: list[str] = []
    steps = isolated(watcher, map(made_up, range(1, 4)), warnings.append)
    next(steps)
    steps.close()
    assert warnings == ["switched off: OSError: disk full"]


def test_a_watcher_that_will_not_leave_is_reported():
    def watcher(steps):
        for step in steps:
            try:
                yield step
            except GeneratorExit:
                yield step

    warnings: list[str] = []
    steps = isolated(watcher, map(made_up, range(1, 4)), warnings.append)
    next(steps)
    steps.close()
    assert len(warnings) == 1


def test_ctrl_c_inside_a_watcher_ends_the_run():
    def watcher(steps):
        for _ in steps:
            raise KeyboardInterrupt
            yield

    with pytest.raises(KeyboardInterrupt):
        list(isolated(watcher, map(made_up, range(1, 4)), pytest.fail))
