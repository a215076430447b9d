"""What a user may get wrong, and what may go wrong under way: one line each, and nothing half-made is left."""

import io
import json
import math
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from ebmkit import Energy, UsageError, register
from ebmkit.runs.checkpoint import Checkpoint, read_checkpoint
from ebmkit.runs.folder import new_folder
from ebmkit.acceleration.accelerated import Accelerated
from commands import BLIND, PLAIN, SMALL, objects, refused, train, updates_of
from ebmkit.registry.component import BUILT_IN
from ebmkit.config.layers import typed
from ebmkit.energies.mlp import MLP
from ebmkit.runs.device import place_on
from ebmkit.registry.lookup import get_registry
from ebmkit.config.resolution import merged, resolve

pytestmark = pytest.mark.usefixtures("empty_folder")
LONG = "n" * 300




@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run of three updates with a bank, to be copied."""
    place = tmp_path_factory.mktemp("runs") / "done"
    train(*SMALL, "--init", "replay", "-s", "init.size=10", "--iterations", "3", "--out", str(place))
    return place


@pytest.fixture
def done(empty_folder, finished) -> Path:
    """The same run, to be spoilt."""
    shutil.copytree(finished, "done")
    return Path("done")












REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "a bank smaller than the batch": (("--init", "replay", "-s", "init.size=4"), "the bank holds 4 chains, not 8"),
    "train.use": (("--config", "nine.toml", "-s", "train.use=foo"), "train has no setting 'use'"),
    "watcher's use": (("-s", "watch.metrics.use=foo"), "watch.metrics has no setting 'use'"),
    "learning rate nan": (("-s", "optimizer.lr=nan"), "optimizer.lr must be finite, not nan"),
    "learning rate inf": (("-s", "optimizer.lr=inf"), "optimizer.lr must be finite, not inf"),
    "iterations": (("--iterations", f"1{'0' * 30}"), "train.iterations must be at most"),
    "threads": (("-s", "train.threads=99999999999"), "train.threads must be at most"),
    "seed": (("--seed", str(10**20)), "train.seed must be"),
    "steps": (("-s", "sampler.use=langevin", "--steps", "9" * 400), "sampler.steps must be at least 1"),
    "long name": (("--out", LONG), "File name too long"),
    "no such user": (("--data", "arrays", "-s", "data.path=~nosuchuser/x"), "cannot use '~nosuchuser/x' as a path"),
    "resize to nothing": (("-s", "data.fit=resize"), "add -s data.size=32"),
    "depth of a convnet": (("-s", "energy.depth=2"), "'depth' belongs to energy 'mlp'"),
    "schedule in print": (("--print-config", "-s", "train.schedule_from=-7"), "train.schedule_from must be"),
    "noise in print": (("--print-config", "-s", "sampler.noise=nan"), "sampler.noise must be at least 0, not nan"),
    "no pictures, dry": (("--dry-run", "-s", "watch.pictures.count=0"), "watch.pictures.count must be at least 1"),
    **{
        name: (("-s", f"optimizer.{name}=true"), f"optimizer has no setting '{name}'")
        for name in ("capturable", "differentiable", "foreach", "fused", "maximize")
    },
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_before_anything_is_written(case):
    Path("nine.toml").write_text("[train]\niterations = 9\n")
    words, message = REFUSED[case]
    defaults = {"--steps": "3", "--batch-size": "8", "--out": "a"}
    missing = [word for option, value in defaults.items() if option not in words for word in (option, value)]
    assert message in refused("train", *words, *missing, "-s", "energy.width=4")


def test_a_use_where_there_is_nothing_to_choose_erases_no_settings():
    notes: list[str] = []
    layers = [typed(["train.iterations=9"]), typed(["train.use=foo"])]
    assert merged(layers, "train", notes)["iterations"].value == 9
    assert notes == []


def test_a_resume_of_an_impossible_name_is_refused():
    assert LONG in refused("train", "--resume", LONG)


def test_a_bank_smaller_than_the_number_of_pictures_is_drawn_from():
    pictures = ("-s", "watch.pictures.every=1", "-s", "watch.pictures.count=16")
    words = (*PLAIN, "-s", "energy.width=4", "--init", "replay", "-s", "init.size=10", "--iterations", "3", *pictures)
    assert train(*words, "--out", "a") == ("a\n", "")
    assert sorted(path.name for path in Path("a/samples").iterdir()) == ["000001.png", "000002.png", "000003.png"]


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_an_image_that_was_cut_off_is_found_before_the_run(kind):
    Path("images").mkdir()
    pixels = np.random.default_rng(0).integers(256, size=(32, 32), dtype=np.uint8)
    for name in "abcdefghi":
        Image.fromarray(pixels).save(f"images/{name}.{kind}")
    os.truncate(f"images/c.{kind}", Path(f"images/c.{kind}").stat().st_size - 40)
    with Image.open(f"images/c.{kind}") as header:
        assert header.size == (32, 32)
    words = ("--data", "folder", "-s", "data.path=images", "--out", "a")
    assert f"cannot read the image images/c.{kind}" in refused("train", *SMALL, *words)


class Breaking:
    """Images of which all break after a number of reads."""

    def __init__(self) -> None:
        self.reads = 0

    def __len__(self) -> int:
        return 100

    def __getitem__(self, number: int) -> torch.Tensor:
        self.reads += 1
        if self.reads > 50:
            raise UsageError("the disk was pulled out")
        return torch.zeros(1, 8, 8)


def test_data_that_break_under_way_leave_the_last_finished_update():
    register("data", "breaking", Breaking)
    words = ("--data", "breaking", "--iterations", "99", "--out", "a", "-s", "watch.checkpoints.every=0")
    _, stderr = train(*SMALL, *words, code=2)
    assert stderr == "error: the disk was pulled out\n"
    assert updates_of("a") == objects(Path("a/metrics.jsonl").read_text())[-1]["update"] > 1


SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "no configuration": lambda state: state.pop("config"),
    "no trainer": lambda state: state.pop("trainer"),
    "no weights": lambda state: state["trainer"]["energy"].clear(),
    "another bank": lambda state: state["trainer"]["init"].update(bank=torch.zeros(9, 1, 8, 8)),
    "wrong randomness": lambda state: state["trainer"].update(rng=torch.zeros(3, dtype=torch.uint8)),
    "no randomness": lambda state: state["trainer"].update(rng=None),
    "no optimizer": lambda state: state["trainer"]["optimizer"].clear(),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_checkpoint_is_refused_by_name(case, done):
    state = torch.load(done / "checkpoint.pt", weights_only=True)
    SPOILT[case](state)
    torch.save(state, done / "checkpoint.pt")
    assert "done/checkpoint.pt" in refused("train", "--resume", "done", "--iterations", "5")


def test_the_readme_has_no_place_left_to_be_filled():
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert not re.findall(r"^[A-Z_]+$", text, re.MULTILINE)


@pytest.mark.parametrize("key", [(), ("-s", "data.key=a/data.pkl"), ("-s", "data.key=a.png")])
@pytest.mark.parametrize("name", ["images.zip", "a.npz"])
def test_archives_of_other_things_are_no_arrays(name, key):
    if name == "a.npz":
        torch.save(torch.zeros(20, 8, 8), name)
    else:
        picture = io.BytesIO()
        Image.new("L", (8, 8)).save(picture, "png")
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("a.png", picture.getvalue())
    assert name in refused("train", *SMALL, "--data", "arrays", "-s", f"data.path={name}", *key, "--out", "a")


@pytest.mark.parametrize("there", [False, True])
def test_a_path_that_is_no_text_is_refused(there):
    if there:
        with open("u\udcff", "wb") as file:
            np.save(file, np.zeros((20, 8, 8), dtype=np.uint8))
    refused("train", *SMALL, "--data", "arrays", "-s", "data.path=u\udcff", "--out", "a")


def test_a_recipe_that_cannot_be_written_leaves_no_folder():
    recipe = resolve([]).with_value("data", "path", "u\udcff", "test")
    with pytest.raises(UsageError, match=r"cannot write config\.toml"), new_folder(Path("a"), recipe, torch.device("cpu")):
        pass
    assert not Path("a").exists()


def test_spoilt_metrics_do_not_keep_a_run_from_going_on(done):
    log = done / "metrics.jsonl"
    good = log.read_bytes()
    log.write_bytes(b"{}\n\xff\xfe\n" + good + b"[]\n{}\n\xff\xfe")
    train("--resume", "done", "--iterations", "5")
    assert log.read_bytes().startswith(good)
    assert [line["update"] for line in objects(log.read_text())] == [1, 2, 3, 4, 5]


class Volume(Energy):
    """Convolves in three dimensions."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layer = nn.Conv3d(shape[0], 2, (1, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(rearrange(x, "b c h w -> b c 1 h w")).flatten(1).sum(1)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_convolutions_of_three_dimensions_can_be_placed(precision):
    energy = Volume((1, 8, 8))
    place_on(energy, torch.device("cpu"))
    assert Accelerated(energy, precision=precision).value_and_grad(torch.zeros(2, 1, 8, 8))[0].shape == (2,)
    register("energy", "volume", Volume)
    train(*BLIND, "--energy", "volume", "--precision", precision, "--iterations", "1", "--out", "a")


class NoChain:
    """Has the name of a sampler only."""


class NoMemory:
    """A start that cannot remember."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def sample(self, n: int, rng: torch.Generator) -> torch.Tensor:
        return torch.zeros(n, *self.shape)


@pytest.mark.parametrize(
    ("kind", "target", "given", "expected"),
    [
        ("energy", lambda shape: lambda x: x.flatten(1).sum(1), "function", "torch.nn.Module"),
        ("sampler", NoChain, "NoChain", "ebmkit.Sampler"),
        ("init", NoMemory, "NoMemory", "ebmkit.InitDistribution"),
    ],
)
def test_a_part_of_another_make_is_refused_with_its_owner(kind, target, given, expected):
    register(kind, "odd", target)
    width = () if kind == "energy" else ("-s", "energy.width=4")
    steps = () if kind == "sampler" else ("--steps", "3")
    line = refused("train", f"--{kind}", "odd", *steps, *width, "--batch-size", "8", "--out", "a")
    assert re.search(rf"{kind} 'odd' returned an? {given}, not an? {expected}\b", line), line
    assert f"(in {kind} 'odd' from registered in this session)" in line


def test_a_dry_run_is_one_object_and_silent():
    stdout, stderr = train(*SMALL, "--iterations", "7", "--dry-run", "--json")
    (values,) = objects(stdout)
    assert values["updates"] == 7
    assert stderr == ""


def test_a_dry_run_of_a_resumption_counts_what_is_left(done):
    (values,) = objects(train("--resume", "done", "--iterations", "5", "--dry-run", "--json")[0])
    assert values["updates"] == 2


class Infinite(MLP):
    """Its energies are infinite, and its gradients are not: weights stay finite."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + math.inf


@pytest.mark.parametrize("words", [("--energy", "infinite"), ("-s", "sampler.step_size=1e30")])
def test_values_that_are_not_finite_are_null(words):
    register("energy", "infinite", Infinite)
    unwatched = ("-s", "watch.divergence.every=0", "-s", "watch.checkpoints.every=0", "--iterations", "2", "--json")
    *told, last = objects(train(*SMALL, *words, *unwatched, "--out", "a")[0])
    kept = objects(Path("a/metrics.jsonl").read_text())
    assert last["status"] == "done"
    assert len(told) == len(kept) == 2
    assert all(None in line.values() for line in [*told, *kept])


def test_every_energy_names_its_source():
    energies = [one for one in get_registry().of_kind("energy") if one.plugin is BUILT_IN]
    assert [one.name for one in energies if "Source:" not in (one.load().__doc__ or "")] == []
    assert len(energies) > 3


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_run_and_its_repetition_are_written_the_same(optimizer):
    words = ("-s", f"optimizer.use={optimizer}", "--iterations", "1")
    train(*SMALL, *words, "--out", "a")
    train("--config", "a/config.toml", "--out", "b")
    text = Path("a/config.toml").read_text()
    assert re.search(r"^weight_decay = ", text, re.MULTILINE)
    assert Path("b/config.toml").read_text() == text


def test_every_resumption_is_put_on_record(done):
    before = json.loads((done / "env.json").read_text())
    train("--resume", "done", "--iterations", "4")
    train("--resume", "done", "--iterations", "5")
    after = json.loads((done / "env.json").read_text())
    resumed = after.pop("resumed")
    assert after == before
    assert [one["from_update"] for one in resumed] == [3, 4]
    assert all(one["versions"] for one in resumed)


def test_a_full_disk_is_one_line_and_exit_1(monkeypatch):
    def full(checkpoint: Checkpoint, folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoint, "write", full)
    _, stderr = train(*SMALL, "--iterations", "3", "--out", "a", code=1)
    assert stderr == "error: [Errno 28] No space left on device\n"
