"""How a part is built and placed, and how many threads it gets."""

import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from ebmkit import Sampler
from ebmkit.config.layers import typed
from ebmkit.config.recipe import build_part
from ebmkit.config.resolution import resolve
from ebmkit.errors import UsageError
from ebmkit.registry.component import Component
from ebmkit.registry.lookup import SESSION
from ebmkit.runs.device import place_on
from ebmkit.runs.training import new_run


def run_with(tmp_path, *pairs):
    return new_run(resolve([typed(["train.device=cpu", *pairs])]), tmp_path / "run")


def test_a_small_energy_gets_one_thread_a_large_one_all(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert run_with(tmp_path, "energy.width=4").threads == 1
    assert run_with(tmp_path, "energy.width=64").threads == 7


def test_the_number_of_threads_can_be_set(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert run_with(tmp_path, "energy.width=4", "train.threads=3").threads == 3
    with pytest.raises(UsageError, match=r"train\.threads must be at least 1, not 0"):
        run_with(tmp_path, "train.threads=0")


# Frees and allocates four times 20 MB repeatedly, and prints how many pages the system had to provide for that.
PAGES = """
import resource, sys
import torch
from ebmkit.runs.device import occupy
if sys.argv[1] == "kept":
    occupy(1)
def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        tensors = [torch.ones(5 * 2**20) for _ in range(4)]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
pages()
print(pages(), torch.get_num_threads())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_a_process_that_runs_chains_keeps_freed_memory():
    pages = {}
    # glibc adapts its threshold to what is freed; fixed at its initial value, large pieces are always returned.
    fixed = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    for mode in ("kept", "left"):
        words = [sys.executable, "-c", PAGES, mode]
        printed = subprocess.run(words, capture_output=True, text=True, check=True, env=fixed).stdout.split()
        pages[mode] = int(printed[0])
        assert mode == "left" or printed[1] == "1"
    # 20 MB are 5,120 pages of 4 kB.
    assert pages["left"] > 20 * 1000
    assert pages["kept"] < 1000


def test_channels_last_on_a_cpu_gives_the_same_values():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 1))
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(x)
    place_on(network, torch.device("cpu"))
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(network(x), before, atol=1e-6)


@pytest.mark.parametrize(("raised", "expected"), [(ValueError, UsageError), (RuntimeError, RuntimeError)])
def test_an_error_in_a_part_names_its_package(raised, expected):
    def broken(*, strength: float = 1.0) -> Sampler:
        raise raised(f"strength must be below 1, not {strength}")

    part = Component("sampler", "broken", broken, SESSION)
    with pytest.raises(expected) as error:
        build_part(part, "sampler", {"strength": 2.0}, {})
    message = str(error.value) + " ".join(getattr(error.value, "__notes__", []))
    assert "in sampler 'broken' from registered in this session" in message
    assert ("sampler.strength must be below 1, not 2.0" in message) == (expected is UsageError)


def test_a_part_that_asks_for_an_unknown_fact_is_refused():
    def asking(weather, *, strength: float = 1.0) -> Sampler: ...

    part = Component("sampler", "asking", asking, SESSION)
    with pytest.raises(
        UsageError, match=r"asking asks for 'weather', which is not a fact that is given here \(shape\)"
    ):
        build_part(part, "sampler", {}, {"shape": (2,)})
