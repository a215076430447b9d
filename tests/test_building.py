"""How a part is put together and placed, and how many threads work on it."""

import os
import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from ebmkit import Sampler
from ebmkit.config.recipe import build_part
from ebmkit.registry.component import Component
from ebmkit.config.layers import typed
from ebmkit.errors import UsageError
from ebmkit.runs.device import place_on
from ebmkit.registry.lookup import SESSION
from ebmkit.config.resolution import resolve
from ebmkit.runs.training import new_run


def run_with(tmp_path, *pairs):
    return new_run(resolve([typed(["train.device=cpu", *pairs])]), tmp_path / "run")


def test_a_small_energy_takes_one_thread_and_a_large_one_what_torch_has(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert run_with(tmp_path, "energy.width=4").threads == 1
    assert run_with(tmp_path, "energy.width=64").threads == 7


def test_the_number_of_threads_can_be_set(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert run_with(tmp_path, "energy.width=4", "train.threads=3").threads == 3
    with pytest.raises(UsageError, match=r"train\.threads must be at least 1, not 0"):
        run_with(tmp_path, "train.threads=0")


# Frees and takes four times 20 MB again and again, and says how many pages the system had to give for that.
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
def test_a_process_that_computes_chains_keeps_the_memory_that_it_frees():
    pages = {}
    # glibc's own threshold moves with what is freed; held where it begins, large pieces are always given back.
    held = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
    for mode in ("kept", "left"):
        words = [sys.executable, "-c", PAGES, mode]
        printed = subprocess.run(words, capture_output=True, text=True, check=True, env=held).stdout.split()
        pages[mode] = int(printed[0])
        assert mode == "left" or printed[1] == "1"
    # 20 MB are 5,120 pages of 4 kB.
    assert pages["left"] > 20 * 1000
    assert pages["kept"] < 1000


def test_on_a_cpu_convolutions_have_their_channels_last_and_compute_the_same():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 1))
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    before = network(x)
    place_on(network, torch.device("cpu"))
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(network(x), before, atol=1e-6)


@pytest.mark.parametrize(("raised", "expected"), [(ValueError, UsageError), (RuntimeError, RuntimeError)])
def test_what_goes_wrong_in_a_third_partys_part_says_whose_it_is(raised, expected):
    def broken(*, strength: float = 1.0) -> Sampler:
        raise raised(f"strength must be below 1, not {strength}")

    part = Component("sampler", "broken", broken, SESSION)
    with pytest.raises(expected) as error:
        build_part(part, "sampler", {"strength": 2.0}, {})
    told = str(error.value) + " ".join(getattr(error.value, "__notes__", []))
    assert "in sampler 'broken' from registered in this session" in told
    assert ("sampler.strength must be below 1, not 2.0" in told) == (expected is UsageError)


def test_a_part_that_asks_for_an_unknown_fact_is_refused_in_one_line():
    def asking(weather, *, strength: float = 1.0) -> Sampler: ...

    part = Component("sampler", "asking", asking, SESSION)
    with pytest.raises(UsageError, match=r"asking asks for 'weather', which is not a fact that is given here \(shape\)"):
        build_part(part, "sampler", {}, {"shape": (2,)})
