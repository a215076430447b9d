"""Energies of every make: each trains, resumes, samples and so on, or is refused before anything is written."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from energy_makes import COLUMNS, MAKES, table
from network_makes import SHAPE

from ebmkit import register
from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.config.layers import typed
from ebmkit.config.resolution import resolve
from ebmkit.errors import UsageError
from ebmkit.interfaces import value_and_grad
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.model import load, read_model
from ebmkit.runs.model_file import write_model_file
from ebmkit.runs.training import new_run, resume_run

pytestmark = pytest.mark.usefixtures("empty_folder")

BASE = ("sampler.use=langevin", "sampler.steps=2", "train.batch_size=4", "train.device=cpu", "watch.pictures.every=0")


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def images() -> torch.Tensor:
    return torch.rand(12, *SHAPE, generator=rng()) * 2 - 1


def train(*pairs: str, place: str = "run") -> None:
    recipe = resolve([typed([*BASE, "energy.use=make", "data.use=images", "train.iterations=2", *pairs])])
    list(new_run(recipe, place).train())


def resume() -> None:
    list(resume_run("run", typed(["train.iterations=3"])).train())
    assert read_checkpoint(Path("run")).updates == 3


def sample() -> None:
    short = load("run")
    first = short.sample(3, rng())
    assert first.shape == (3, *SHAPE)
    assert first.isfinite().all()
    with torch.no_grad():
        assert torch.equal(short.sample(3, rng()), first)
    with torch.inference_mode():
        assert torch.equal(load("run").sample(3, rng()), first)


def reconstruct() -> None:
    short = load("run")
    found = short.reconstruct(images()[:2], rng(), updates=1, at=(0, 1))
    assert found.error.isfinite().all()
    with torch.inference_mode():
        assert torch.allclose(short.reconstruct(images()[:2], rng(), updates=1, at=(0, 1)).z, found.z)


def average() -> None:
    train("train.average=0.5", place="averaged")
    assert load("averaged", weights="average").sample(2, rng()).isfinite().all()


def accelerate() -> None:
    energy = load("run").energy.energy
    fast = Accelerated(energy)
    expected = value_and_grad(energy, images())
    for _ in range(2):
        assert all(map(torch.allclose, fast.value_and_grad(images()), expected))


def export() -> None:
    write_model_file(read_model(Path("run")), "last", Path("run.safetensors"))
    assert torch.allclose(load("run.safetensors").sample(3, rng()), load("run").sample(3, rng()))


ONCE = ("differentiable once",)  # makes that have no second derivative, which a gradient penalty needs
STEPS: dict[str, Callable[[], None]] = {
    "train": train,
    "resume": resume,
    "sample": sample,
    "reconstruct": reconstruct,
    "average": average,
    "accelerate": accelerate,
    "export": export,
}


@contextmanager
def quiet() -> Iterator[None]:
    """Slower ways with the same results are announced."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def refusal(step: Callable[[], None]) -> str:
    """The line by which a step is refused, after which nothing new is in the folder; empty if it works."""
    before, line = set(Path().rglob("*")), ""
    try:
        with quiet():
            step()
    except UsageError as error:
        line = str(error)
    if line:
        assert set(Path().rglob("*")) == before
        assert "\n" not in line
    return line


@pytest.mark.parametrize("make", MAKES)
def test_each_make_works_or_is_refused_at_once(make):
    target, refused = MAKES[make]
    register("energy", "make", target)
    register("data", "images", images)
    found: dict[str, Any] = {}
    for column in COLUMNS:
        found[column] = refusal(STEPS[column])
        if column == "train" and found[column]:
            break
    assert {column for column, line in found.items() if line} == set(refused), found
    for column, words in refused.items():
        assert re.search(words, found[column]), found[column]


@pytest.mark.parametrize("make", MAKES)
def test_each_make_has_a_gradient_penalty_or_is_refused(make):
    target, refused = MAKES[make]
    register("energy", "make", target)
    register("data", "images", images)
    line = refusal(lambda: train("train.gradient_penalty=1"))
    if make in ONCE:
        assert "cannot be trained with train.gradient_penalty=1" in line
        assert "-s train.gradient_penalty=0 (RuntimeError: " in line
        assert not refusal(train)
    else:
        assert bool(line) == ("train" in refused), line
        assert re.search(refused.get("train", ""), line)


def test_the_table_of_makes_in_the_documents_is_this_one():
    page = Path(__file__).parent.parent / "docs" / "testing.md"
    assert table() in page.read_text(encoding="utf-8")
