"""New runs that start from another run: `ebmkit train --from`."""

import json
from pathlib import Path

import pytest
import torch
from commands import invoked, refused, train
from diverging_runs import toy
from training_runs import metrics, same, state_of

from ebmkit.errors import UsageError
from ebmkit.runs import train as train_in_python
from ebmkit.runs.model import load
from ebmkit.runs.training import new_run

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A run of four updates, with an average and a replay buffer."""
    place = tmp_path_factory.mktemp("runs") / "done"
    list(new_run(toy({"train.iterations": "4"}), place).train())
    return place


def test_weights_average_and_bank_are_those_of_the_other(done):
    run, saved = new_run({}, origin=done), state_of(done)["trainer"]
    state = run.trainer.state_dict()
    assert same(state["energy"], saved["energy"])
    assert same(state["init"], saved["init"])
    kept = {name: value for name, value in saved["average"].items() if name.startswith("module.")}
    assert same({name: state["average"][name] for name in kept}, kept)
    assert state["index"] == 0
    assert state["optimizer"]["state"] == {}


def test_the_average_is_continued(done, tmp_path):
    run = new_run({"train": {"iterations": 1}}, tmp_path / "a", origin=done)
    list(run.train())
    name = next(iter(state_of(done)["trainer"]["energy"]))
    before, after = (state_of(place)["trainer"] for place in (done, tmp_path / "a"))
    expected = 0.9 * before["average"][f"module.{name}"] + 0.1 * after["energy"][name]
    assert torch.allclose(after["average"][f"module.{name}"], expected, atol=1e-7)


def test_its_settings_are_the_base_and_can_be_changed(done):
    run = new_run({"optimizer": {"lr": 2e-4}, "train": {"iterations": 7}}, origin=done)
    assert run.recipe.sections["energy"]["width"] == 8
    assert run.recipe.sections["optimizer"]["lr"] == 2e-4
    assert run.recipe.train.iterations == 7
    assert run.trainer.optimizer.param_groups[0]["lr"] == 2e-4


def test_its_origin_is_in_env_json(done, tmp_path):
    run = new_run({"train": {"iterations": 1}}, tmp_path / "a", origin=done)
    list(run.train())
    origin = json.loads((tmp_path / "a" / "env.json").read_text())["origin"]
    assert origin == dict(run.origin)
    assert (origin["source"], origin["update"]) == (str(done), 4)
    assert len(origin["fingerprint"]) == 16
    assert "origin" not in json.loads((done / "env.json").read_text())


def test_the_fingerprint_depends_on_the_weights(done, tmp_path):
    list(new_run({"train": {"iterations": 1}}, tmp_path / "a", origin=done).train())
    one, same_one, other = (new_run({}, origin=place).origin for place in (done, done, tmp_path / "a"))
    assert one["fingerprint"] == same_one["fingerprint"] != other["fingerprint"]


def test_the_other_run_is_not_changed(done, tmp_path):
    before = {path.name: path.read_bytes() for path in done.iterdir()}
    list(train_in_python({"train": {"iterations": 2}}, folder=tmp_path / "a", origin=done))
    assert {path.name: path.read_bytes() for path in done.iterdir()} == before
    assert [line["update"] for line in metrics(tmp_path / "a")] == [1, 2]


def test_a_run_goes_on_with_other_data_of_its_shape(done):
    run = new_run({"data": {"use": "moons"}}, origin=done)
    assert run.recipe.parts["data"].name == "moons"
    assert same(run.trainer.energy.state_dict(), state_of(done)["trainer"]["energy"])


def test_a_run_without_an_average_can_get_one(done, tmp_path):
    list(new_run(toy({"train.iterations": "2", "train.average": "none"}), tmp_path / "a").train())
    run = new_run({"train": {"average": 0.5}}, origin=tmp_path / "a")
    assert same(run.trainer.model.state_dict(), run.trainer.energy.state_dict())
    assert same(run.trainer.model.state_dict(), state_of(tmp_path / "a")["trainer"]["energy"])


def test_a_checkpoint_can_be_named_and_opened(done):
    run = new_run({}, origin=done / "checkpoint-before.pt")
    assert run.origin["update"] == 0
    first = new_run(toy({"train.iterations": "4"})).trainer.energy.state_dict()
    assert same(run.trainer.energy.state_dict(), first)
    assert load(done / "checkpoint-before.pt").sample(2, torch.Generator()).shape == (2, 2)


def test_a_model_file_suffices(done, tmp_path):
    pytest.importorskip("safetensors")
    invoked("export", done, tmp_path / "m.safetensors", "--weights", "last")
    run = new_run({}, origin=tmp_path / "m.safetensors")
    assert same(run.trainer.energy.state_dict(), state_of(done)["trainer"]["energy"])
    assert run.origin["update"] == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy": {"width": 9}}, r"has another energy: energy\.width is 8 there and 9 here"),
        ({"data": {"use": "digits"}}, r"is a model of examples \(2,\), but the data have shape \(1, 8, 8\)"),
        ({"init": {"size": 30}}, "the replay start in .* does not fit"),
    ],
)
def test_what_cannot_fit_is_refused_in_one_line(done, changes, message):
    with pytest.raises(UsageError, match=message) as raised:
        new_run(changes, origin=done)
    assert "\n" not in str(raised.value)


def test_weights_that_are_not_finite_are_refused(done, tmp_path):
    state = torch.load(done / "checkpoint.pt", weights_only=True)
    next(iter(state["trainer"]["energy"].values())).fill_(torch.inf)
    torch.save(state, tmp_path / "broken.pt")
    with pytest.raises(UsageError, match=r"broken\.pt are not finite"):
        new_run({}, origin=tmp_path / "broken.pt")


def test_a_resumed_run_has_no_origin(done):
    with pytest.raises(UsageError, match="leave out `origin`"):
        train_in_python(resume=done, origin=done)


@pytest.mark.usefixtures("empty_folder")
def test_the_command_line_starts_from_a_run(done):
    stdout, stderr = train(
        "--from", str(done), "-s", "optimizer.lr=3e-4", "--iterations", "2", "--out", "a", quiet=False
    )
    assert stdout == "a\n"
    assert f"from      {done} after update 4, weights " in stderr
    assert "optimizer adam(lr=0.0003)" in stderr
    assert state_of(Path("a"))["trainer"]["index"] == 2


@pytest.mark.usefixtures("empty_folder")
def test_the_command_line_refuses_what_is_no_run(done):
    assert "is not the folder of a run" in refused("train", "--from", "nowhere")
    assert "leave out --from" in refused("train", "--resume", str(done), "--from", str(done))
