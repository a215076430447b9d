"""One stand-in in several threads: each gets what a caller gets who has it to himself."""

import ctypes
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from networks import ENERGIES, rng
from torch import Tensor

from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.acceleration.twin import SHAPES
from ebmkit.energies.mlp import MLP
from ebmkit.samplers.langevin import Langevin

THREADS = 8


@pytest.fixture(autouse=True)
def impatient():
    """Python's threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work, jobs: list) -> list:
    """What `work` gives for each job, all at once."""
    start = threading.Barrier(len(jobs))

    def begun(job):
        start.wait()
        return work(job)

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(begun, jobs))


def chain(fast: Accelerated, n: int) -> Tensor:
    """The end of chains of a generator of their own."""
    start = torch.randn(n, 1, 8, 8, generator=rng(n))
    return Langevin(steps=5, step_size=0.01).sample(fast, start, rng(n))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", ["convnet", "resnet", "attentive"])
def test_threads_at_new_shapes_get_the_bits_of_one_caller(name, precision):
    energy = ENERGIES[name]().eval()
    sizes = [1 + n % (THREADS // 2) for n in range(THREADS)]
    expected = {n: chain(Accelerated(energy, precision=precision), n) for n in set(sizes)}
    for _ in range(3):
        fast = Accelerated(energy, precision=precision)
        found = together(lambda n, fast=fast: chain(fast, n), sizes)
        assert all(torch.equal(one, expected[n]) for n, one in zip(sizes, found, strict=True))
        # And afterwards: nothing was left behind in what they share.
        assert all(torch.equal(chain(fast, n), expected[n]) for n in expected)


def test_threads_with_more_shapes_than_are_kept_do_not_collide():
    fast = Accelerated(MLP((2,), width=4, depth=1))

    def work(seed: int) -> bool:
        for n in range(1, 2 * SHAPES):
            x = torch.randn(n, 2, generator=rng(seed))
            if not torch.equal(fast.value_and_grad(x)[1], fast.value_and_grad(x)[1]):
                return False
        return True

    assert all(together(work, list(range(THREADS))))
    assert len(fast.twin.replays) == SHAPES


def test_a_shape_that_all_threads_bring_is_recorded_once(monkeypatch):
    fast, count = Accelerated(MLP((2,), width=4, depth=1)), []
    recorded = fast.twin.recorded
    monkeypatch.setattr(fast.twin, "recorded", lambda x: count.append(1) or recorded(x))
    together(lambda _: fast.value_and_grad(torch.ones(3, 2)), list(range(THREADS)))
    assert len(count) == 1


def test_recording_leaves_the_weights_that_threads_share_alone():
    fast = Accelerated(MLP((2,), width=4, depth=1))
    versions = [(one, one._version) for one in fast.twin.network.parameters()]
    fast.value_and_grad(torch.ones(3, 2))
    assert all(one._version == before for one, before in versions)


def openmp() -> ctypes.CDLL | None:
    """The OpenMP that torch has loaded, where that can be found."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    # Other packages bring an OpenMP of their own.
    home = str(Path(torch.__file__).parent)
    mapped = [line.split()[-1] for line in lines if "libgomp" in line]
    found = next((path for path in mapped if path.startswith(home)), mapped[0] if len(set(mapped)) == 1 else None)
    return ctypes.CDLL(found) if found else None


@pytest.mark.skipif(openmp() is None, reason="torch's OpenMP was not found")
def test_a_new_thread_computes_with_the_threads_of_the_run(monkeypatch):
    fast, before, seen = Accelerated(MLP((2,), width=4, depth=1)), torch.get_num_threads(), []
    replay = fast.twin.replay
    monkeypatch.setattr(fast.twin, "replay", lambda x: seen.append(openmp().omp_get_max_threads()) or replay(x))
    try:
        torch.set_num_threads(before + 2)
        together(lambda _: fast.value_and_grad(torch.ones(3, 2)), [0, 1])
    finally:
        torch.set_num_threads(before)
    assert seen == [before + 2] * 2
