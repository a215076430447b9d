"""Models that several threads share: each thread gets what one caller gets, and training is not disturbed."""

import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
import torch
from network_makes import SquaredSlope
from odd_makes import Branching, Counting
from torch import Tensor, nn

from ebmkit import modes
from ebmkit.acceleration import twin
from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.evaluation.energy import energies
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import eval_mode, value_and_grad
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun

THREADS, SHAPES, ROUNDS = 8, 50, 20


@pytest.fixture(autouse=True)
def impatient():
    """Python's threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    sys.setswitchinterval(before)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Dropping(Branching):
    """Cannot be recorded, takes its time, and has other values in training mode."""

    def __init__(self) -> None:
        super().__init__((2,))
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        sleep(1e-4)  # other threads run
        return super().forward(self.drop(x))


def models() -> list[nn.Module]:
    """One that is recorded, one that is not, and one with statistics of its batches; in training mode, as users do."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 1))
    normed = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.SiLU(), nn.Linear(4, 1))
    return [plain, Dropping(), normed]


def chain(energy: nn.Module, n: int) -> Tensor:
    """The ends of n chains with a generator of their own."""
    return Langevin(steps=2, step_size=0.1).sample(energy, torch.randn(n, 2, generator=rng(n)), rng(n))


def at_once(work, jobs: list, threads: int = THREADS) -> list:
    """What `work` gives for each job, by this many threads that start together."""
    start = threading.Barrier(threads)
    with ThreadPoolExecutor(threads, initializer=start.wait) as pool:
        return list(pool.map(work, jobs))


def test_threads_at_many_shapes_get_what_one_gets(monkeypatch):
    monkeypatch.setattr(twin, "SHAPES", SHAPES)
    originals = models()
    jobs = [(which, n) for n in range(1, SHAPES + 1) for which in range(len(originals))]
    single = [Accelerated(energy) for energy in originals]
    expected = [chain(single[which], n) for which, n in jobs]
    before = [[module.training for module in energy.modules()] for energy in originals]
    for turn in range(ROUNDS):
        if turn % 10 == 0:  # everything is recorded again, while others run
            shared = [Accelerated(energy) for energy in originals]
        found = at_once(lambda job, shared=shared: chain(shared[job[0]], job[1]), jobs)
        wrong = [job for job, one, known in zip(jobs, found, expected, strict=True) if not torch.equal(one, known)]
        assert not wrong, (turn, wrong)
    assert [[module.training for module in energy.modules()] for energy in originals] == before


def test_two_stand_ins_of_one_energy_do_not_disturb_each_other():
    energy = models()[1]
    expected = [chain(energy, n) for n in range(1, 9)]
    for _ in range(5):
        found = at_once(lambda n: chain(Accelerated(energy), n), list(range(1, 9)))
        assert all(map(torch.equal, found, expected))


def test_a_module_computes_for_one_thread_at_a_time():
    energy, x = Counting((2,)).eval(), torch.ones(3, 2)
    inside, most = 0, 0
    lock = threading.Lock()

    def count(change: int):
        def hook(*_):
            nonlocal inside, most
            with lock:
                inside += change
                most = max(most, inside)

        return hook

    energy.register_forward_pre_hook(count(1))
    energy.register_forward_hook(count(-1))
    at_once(lambda _: [value_and_grad(energy, x) for _ in range(20)], list(range(THREADS)))
    assert most == 1
    assert int(energy.calls) == THREADS * 20


def training() -> Trainer:
    """Of an energy whose statistics change in training mode only."""
    energy = models()[2]
    optimizer = torch.optim.SGD(energy.parameters(), lr=0.01)
    return Trainer(energy, Langevin(steps=3), Uniform((2,)), optimizer, rng(), accelerate=Accelerated(energy).refreshed)


def updated(trainer: Trainer, count: int = 30) -> dict[str, Tensor]:
    """The state of the energy after some updates."""
    for index in range(count):
        trainer.update(torch.randn(8, 2, generator=rng(index)))
    return trainer.energy.state_dict()


@pytest.mark.parametrize("stand_in", [lambda energy: energy, Accelerated], ids=["energy", "stand-in"])
def test_draws_of_other_threads_do_not_change_training(stand_in):
    expected = updated(training())
    trainer, done, drawn = training(), threading.Event(), []

    def draw(seed: int) -> None:
        while not done.is_set():
            short = ShortRun(stand_in(trainer.energy), Langevin(steps=3), Uniform((2,)))
            drawn.append(short.sample(1 + seed, rng(seed)))

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    try:
        found = updated(trainer)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert drawn
    assert all(bool(one.isfinite().all()) for one in drawn)
    assert all(torch.equal(value, found[key]) for key, value in expected.items())
    assert all(module.training for module in trainer.energy.modules())


def test_the_mode_is_restored_after_the_last_thread():
    energy = models()[1]
    first, second = eval_mode(energy), eval_mode(energy)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not any(module.training for module in energy.modules())
    second.__exit__(None, None, None)
    assert all(module.training for module in energy.modules())


def test_blocks_of_evaluation_mode_leave_nothing_behind():
    before = len(modes._threads.roots), len(modes._evaluated)
    for energy in models():
        with eval_mode(energy), eval_mode(energy):
            pass
    assert (len(modes._threads.roots), len(modes._evaluated)) == before


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_an_energy_of_slopes_works_in_every_mode(mode):
    energy, x = SquaredSlope((2,)), torch.randn(3, 2, generator=rng())
    expected, value = chain(energy, 4), value_and_grad(energy, x)[0]
    with mode():
        assert torch.equal(chain(energy, 4), expected)
        assert torch.equal(chain(Accelerated(energy), 4), expected)
        for one in (energy, Accelerated(energy)):
            assert torch.equal(energies(one, x), value)
