"""The seam for methods of training: roles are sections, everything stateful is saved, and all commands work."""

import json
from typing import ClassVar

import numpy as np
import pytest
import torch
from commands import invoked
from latent_method import Adapting, TinyLatent

from ebmkit.config.layers import layer_of, typed
from ebmkit.config.resolution import resolve
from ebmkit.config.tables import dumps
from ebmkit.errors import UsageError
from ebmkit.evaluation.energy import energies
from ebmkit.runs.model import load, open_model
from ebmkit.runs.parts import RecipeParts
from ebmkit.runs.training import new_run, resume_run

SMALL = {
    "method": {"use": "tiny"},
    "data": {"use": "gaussians", "count": 200},
    "train": {"iterations": 6, "threads": 1},
    "watch": {"pictures": {"every": 0}, "checkpoints": {"every": 2}},
}


@pytest.fixture(autouse=True)
def tiny(registered):
    registered("method", "tiny", TinyLatent)
    registered("sampler", "adapting", Adapting)


def trained(folder, **sections):
    run = new_run({**SMALL, **sections}, folder)
    list(run.train())
    return run


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_roles_are_sections_with_their_defaults():
    recipe = resolve([typed(["method.use=tiny", "posterior.steps=5", "generator.width=4"])])
    sections = [section for section in recipe.sections if not section.startswith("watch.")]
    assert sections == [
        *("method", "energy", "generator", "init", "sampler", "posterior", "data"),
        *("optimizer", "generator_optimizer", "train"),
    ]
    assert recipe.sections["posterior"] == {"use": "adapting", "steps": 5}
    assert recipe.sections["generator"]["width"] == 4
    assert recipe.sections["sampler"]["step_size"] == 0.1
    assert recipe.sections["optimizer"]["betas"] == (0.5, 0.999)
    assert recipe.sections["train"]["data_noise"] == 0.0
    assert recipe.sections["train"]["batch_size"] == 12
    assert "energy_l2" not in recipe.sections["train"]


def test_another_part_in_a_role_drops_the_defaults_of_the_role():
    recipe = resolve([typed(["method.use=tiny", "sampler.use=hmc", "posterior.use=langevin"])])
    assert recipe.settings("sampler") == resolve([typed(["sampler.use=hmc"])]).settings("sampler")
    assert recipe.sections["posterior"]["step_size"] == 1.0


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["posterior.steps=3"], r"^-s posterior\.steps=3: unknown section 'posterior'\. Sections: method, energy"),
        (["method.use=tiny", "posteriro.steps=3"], r"unknown section 'posteriro'\. Did you mean 'posterior'\?"),
        (["method.use=tiny", "train.energy_l2=1"], r"^train has no setting 'energy_l2'"),
        (["method.use=tinny"], r"^unknown method 'tinny'\. Did you mean 'tiny'\?"),
        (["method.use=tiny", "method.latnet=3"], r"^method has no setting 'latnet' .*Did you mean 'latent'\?"),
    ],
)
def test_what_a_method_does_not_have_is_refused(pairs, message):
    with pytest.raises(UsageError, match=message) as error:
        resolve([typed(pairs)])
    assert "\n" not in str(error.value)


def test_what_was_set_for_another_method_below_is_dropped_with_a_note():
    below = layer_of({"train": {"energy_l2": 0.1, "seed": 3}, "classifier": {"width": 4}}, "preset x")
    recipe = resolve([below, typed(["method.use=tiny"])])
    assert recipe.notes == ("the method is now 'tiny', which does not use: classifier, train.energy_l2 of preset x",)
    assert recipe.sections["train"]["seed"] == 3
    with pytest.raises(UsageError, match="unknown section 'classifier'"):
        resolve([typed(["method.use=tiny", "classifier.width=4"])])


class NoRoles:
    """A class that is no method."""


class Watching(TinyLatent):
    """A method with a role that is a section of every run."""

    roles: ClassVar = {**TinyLatent.roles, "watch": TinyLatent.roles["sampler"]}


def test_a_method_without_usable_roles_is_refused(registered):
    registered("method", "none", NoRoles)
    registered("method", "watching", Watching)
    for name, message in {"none": "has no roles", "watching": "has a role 'watch' that cannot be a section"}.items():
        with pytest.raises(UsageError, match=message):
            resolve([typed([f"method.use={name}"])])


def test_a_run_resumes_bit_for_bit(tmp_path):
    straight = trained(tmp_path / "straight")
    trained(tmp_path / "parted", train={"iterations": 3, "threads": 1})
    resumed = resume_run(tmp_path / "parted", {"train": {"iterations": 6}})
    list(resumed.train())
    assert same(straight.trainer.state_dict(), resumed.trainer.state_dict())
    assert float(resumed.trainer.posterior.size) != pytest.approx(0.1)


def test_runs_from_before_there_were_methods_open_and_resume(tmp_path):
    settings = {"energy": {"use": "mlp", "width": 8}, "data": SMALL["data"], "sampler": {"steps": 2}}
    run = new_run({**settings, "train": {"iterations": 2, "threads": 1}, "watch": SMALL["watch"]}, tmp_path / "run")
    list(run.train())
    written = (tmp_path / "run" / "config.toml").read_text()
    old = written.replace('[method]\nuse = "maximum-likelihood"\n\n', "")
    assert "method" not in old
    (tmp_path / "run" / "config.toml").write_text(old)
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert set(state["trainer"]) == {"index", "energy", "average", "optimizer", "init", "rng"}
    torch.save({**state, "config": old}, tmp_path / "run" / "checkpoint.pt")
    drawn = load(tmp_path / "run").sample(3, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, run.trainer.short_run().sample(3, torch.Generator().manual_seed(0)))
    assert [update.index for update in resume_run(tmp_path / "run", {"train": {"iterations": 3}}).train()] == [3]


def test_everything_with_a_state_is_in_the_checkpoint(tmp_path):
    trained(tmp_path / "run", train={"iterations": 4, "threads": 1, "average": 0.9, "gradient_clip": "auto"})
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["trainer"]
    parts = {"energy", "generator", "target", "init", "posterior", "optimizer", "generator_optimizer", "rng"}
    assert set(state) == {*parts, "index", "average", "gradient_norms", "model"}
    assert set(state["model"]) == {"energy", "generator", "target", "init", "posterior"}
    assert set(state["average"]) == {"energy", "generator", "target"}
    assert set(state["gradient_norms"]) == {"optimizer", "generator_optimizer"}


def test_a_state_of_another_method_is_refused(tmp_path):
    run = new_run(SMALL)
    state = run.trainer.state_dict()
    del state["target"]
    with pytest.raises(UsageError, match="target is in one of them only"):
        run.trainer.load_state_dict(state)


def test_the_moving_averages_are_drawn_with(tmp_path):
    run = trained(tmp_path / "run", train={"iterations": 6, "threads": 1, "average": 0.9})
    drawn = {
        weights: load(tmp_path / "run", weights=weights).sample(5, torch.Generator().manual_seed(0))
        for weights in ("average", "last")
    }
    assert not torch.equal(drawn["average"], drawn["last"])
    assert torch.equal(run.trainer.short_run().sample(5, torch.Generator().manual_seed(0)), drawn["average"])


def test_recorded_chains_follow_a_condition_in_a_buffer(monkeypatch):
    recorded = new_run(SMALL)
    monkeypatch.setattr(RecipeParts, "chains", lambda self, energy, shape=None, gradients=None: lambda energy: energy)
    plain = new_run(SMALL)
    for _ in range(3):
        batch = torch.randn(12, 2, generator=torch.Generator().manual_seed(recorded.trainer.index))
        indices = torch.arange(12)
        one, other = (run.update(batch, indices=indices) for run in (recorded, plain))
        assert one.scalars == pytest.approx(other.scalars, rel=1e-4)


def test_every_command_works_on_a_latent_model(tmp_path):
    place = tmp_path / "run"
    settings = {**SMALL, "data": {"use": "digits"}}
    del settings["watch"]
    (tmp_path / "c.toml").write_text(dumps(settings))
    watch = [
        "-s",
        "watch.pictures.every=6",
        "-s",
        "watch.report.every=6",
        "-s",
        "watch.report.reconstruction_updates=2",
    ]
    invoked("train", "--config", tmp_path / "c.toml", *watch, "--out", place, "--quiet")
    assert (place / "samples" / "000006.png").exists()
    assert "examples have no energy of their own" in (place / "report.html").read_text()
    invoked("export", place, tmp_path / "model.safetensors")
    invoked("sample", tmp_path / "model.safetensors", "-n", 3, "--out", tmp_path / "y.npy")
    invoked("sample", place, "-n", 3, "--out", tmp_path / "x.npy")
    assert np.array_equal(np.load(tmp_path / "x.npy"), np.load(tmp_path / "y.npy"))
    invoked("interpolate", place, "--rows", 2, "--columns", 3, "--out", tmp_path / "i.png")
    invoked("long-run", place, "-n", 3, "--times", 2, "--out", tmp_path / "l.png")
    invoked("reconstruct", place, "-n", 2, "--updates", 3, "--out", tmp_path / "r.png")
    invoked("evaluate", place, "-n", 40, "--json")
    stdout, _ = invoked("train", "--method", "tiny", "--dry-run", "--json", "--iterations", 4)
    cost = json.loads(stdout)
    assert cost["network_passes_in_the_chain"] == 5
    assert cost["updates"] == 4


def test_energies_of_long_chains_are_those_of_states(tmp_path):
    trained(tmp_path / "run")  # z and x both are points in the plane
    short = load(tmp_path / "run")
    points = list(short.long_run(4, torch.Generator().manual_seed(0), times=2))
    assert points[-1].z.shape == points[-1].x.shape == (4, 2)
    torch.testing.assert_close(points[-1].x, short.decoded(points[-1].z))
    _, stderr = invoked("long-run", tmp_path / "run", "-n", "4", "--times", "2", "--out", tmp_path / "l.png")
    printed = float(stderr.split("energy=")[1].split()[0])
    assert printed == pytest.approx(float(energies(short.energy, points[0].z).mean()), abs=1e-3)


def test_a_run_can_start_from_a_run_of_another_method_with_its_networks(tmp_path):
    trained(tmp_path / "first")
    run = new_run({**SMALL, "method": {"use": "tiny"}}, origin=tmp_path / "first")
    saved = open_model(tmp_path / "first").method
    assert same(run.trainer.generator.state_dict(), saved.generator.state_dict())
    other = trained(tmp_path / "digits", data={"use": "digits"}).folder
    changes = {"method": {"use": "jem"}, "classifier": {"use": "dense"}, "data": {"use": "digits"}}
    with pytest.raises(UsageError, match="has no network 'classifier', which this method needs"):
        new_run({**SMALL, **changes}, origin=other)


def test_a_fact_that_does_not_exist_is_refused(registered):
    class Asking(TinyLatent):
        """A method whose update asks for colours."""

        def update(self, batch, colours):
            return super().update(batch, colours)

    registered("method", "asking", Asking)
    with pytest.raises(UsageError, match="asks for 'colours', which is no fact about a batch"):
        new_run({**SMALL, "method": {"use": "asking"}})


def test_a_scalar_that_is_no_term_is_refused(registered):
    class Silent(TinyLatent):
        """A method that reports what it does not name."""

        def descend(self, loss, optimizer, scalars=None):
            return super().descend(loss, optimizer, {**(scalars or {}), "odd": loss})

    registered("method", "silent", Silent)
    with pytest.raises(UsageError, match="reports 'odd'"):
        new_run({**SMALL, "method": {"use": "silent"}})
