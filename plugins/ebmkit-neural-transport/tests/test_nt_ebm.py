"""The method `nt-ebm`: its backbone, what it refuses, and what a run of it has."""

import json
import math
from dataclasses import replace

import pytest
import torch
from ebmkit_neural_transport.likelihood import log_likelihood, normaliser
from transport_test_runs import command, same, settings, state, trained

from ebmkit import Sampler, UsageError, load
from ebmkit.runs import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "plane", train__average=0.5)


def test_the_first_batch_standardises_the_flow(run):
    flow = state(run)["flow"]
    assert bool(flow["standardised"])
    assert 0.5 < float(flow["scale"].min()) < float(flow["scale"].max()) < 1


def test_a_backbone_is_the_flow_of_another_run(run, tmp_path):
    other = trained(tmp_path / "other", method__backbone=str(run), method__flow_iterations=0)
    average = torch.load(run / "checkpoint.pt", weights_only=True)["trainer"]["average"]["flow"]
    flow = state(other)["flow"]
    assert all(torch.equal(flow[name], average[f"module.{name}"]) for name in flow)


def test_the_backbone_is_not_read_again(run, tmp_path):
    moved = tmp_path / "backbone"
    moved.mkdir()
    for file in ("checkpoint.pt", "config.toml"):
        (moved / file).write_bytes((run / file).read_bytes())
    other = trained(tmp_path / "other", method__backbone=str(moved), method__flow_iterations=0)
    for file in moved.iterdir():
        file.unlink()
    list(train({"train": {"iterations": 8}}, resume=other))
    assert load(other).sample(3, torch.Generator()).shape == (3, 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flow__width": 9}, "has other settings: copy the section"),
        ({"flow__bound": 0.1}, "has other settings: copy the section"),
        ({"flow__use": "affine-flow"}, "has no AffineFlow"),
        ({"method__backbone": "nowhere"}, "nowhere"),
    ],
)
def test_a_backbone_that_does_not_fit_is_refused(run, tmp_path, changes, words):
    asked = settings(**{"method__backbone": str(run), **changes})
    if "flow__use" in changes:
        asked["flow"] = {"use": "affine-flow"}
    with pytest.raises(UsageError, match=words):
        list(train(asked, folder=tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_a_network_that_is_no_flow_is_refused(tmp_path):
    asked = settings()
    asked["flow"] = {"use": "dense"}
    with pytest.raises(UsageError, match="flow must be a flow, as coupling-flow, not Dense"):
        list(train(asked, folder=tmp_path / "a"))


def test_discrete_data_without_noise_are_refused(tmp_path):
    asked = settings(train__data_noise=0.0)
    asked["data"] = {"use": "digits"}
    with pytest.raises(UsageError, match=r"-s train.data_noise=0.05"):
        list(train(asked, folder=tmp_path / "a"))
    asked["train"]["data_noise"] = 0.05
    assert len(list(train(asked, folder=tmp_path / "b"))) == 6


def test_settings_out_of_range_are_refused(tmp_path):
    for name, value in {"flow_iterations": -1, "bound": 0.0}.items():
        with pytest.raises(UsageError, match=f"{name} must be"):
            list(train(settings(**{f"method__{name}": value}), folder=tmp_path / "a"))


@pytest.mark.parametrize("words", [("sampler", "langevin"), ("flow", "affine-flow")])
def test_other_parts_can_be_chosen(tmp_path, words):
    asked = settings()
    asked[words[0]] = {"use": words[1]}
    assert len(list(train(asked, folder=tmp_path / "a"))) == 6
    assert load(tmp_path / "a").sample(3, torch.Generator()).isfinite().all()


def test_the_chains_of_a_model_have_the_averaged_step_size(run):
    adaptation = state(run)["sampler"]["adaptation"]
    assert load(run).sampler.step_size == pytest.approx(math.exp(adaptation[3]))
    assert adaptation[3] != adaptation[2]


def test_commands_draw_from_a_run_in_the_plane(run, tmp_path):
    """States and examples have the same shape here, so that nothing but the flow says which are which."""
    before = state(run)
    command("sample", run, "-n", "5", "--out", tmp_path / "x.npy")
    command("interpolate", run, "--out", tmp_path / "path.png")
    command("reconstruct", run, "-n", "4", "--updates", "2", "--out", tmp_path / "again.png")
    found = json.loads(command("evaluate", run, "-n", "20", "--json").stdout)["measures"][-3:]
    assert [one["name"][:13] for one in found] == ["Mean log q(x)", "Mean log p(x)", "Mean log p(x)"]
    assert found[1]["value"] == pytest.approx(found[0]["value"] + found[2]["value"])
    assert found[1]["error"] > 0
    command("report", run, "--updates", "2")
    command("export", run, tmp_path / "model.safetensors")
    command("sample", tmp_path / "model.safetensors", "-n", "5", "--out", tmp_path / "y.npy")
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()
    assert same(state(run), before)


def test_the_energies_of_a_long_run_are_those_of_the_states(run, tmp_path):
    printed = command("long-run", run, "-n", "6", "--times", "2", "--json", "--out", tmp_path / "long.png").stdout
    found = [json.loads(line)["energy"] for line in printed.splitlines() if "energy" in line]
    short = load(run)
    points = list(short.long_run(6, torch.Generator().manual_seed(0), times=2))
    of_states = [float(short.energy(point.z).mean()) for point in points]
    of_examples = [float(short.energy(point.x).mean()) for point in points]
    assert found == pytest.approx(of_states, abs=1e-4)
    assert found != pytest.approx(of_examples, abs=1e-4)


def test_a_model_has_a_likelihood(run):
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    short = load(run)
    found = log_likelihood(short, x, torch.Generator().manual_seed(2), draws=200)
    assert found.flow == pytest.approx(float(short.decode.log_density(x).mean()), abs=1e-5)
    assert 1 < found.normaliser.ess <= 200
    assert math.isfinite(found.tilted_error)


def test_the_values_of_examples_are_the_likelihood_of_noisy_ones(run):
    """Flow, tilt and gain in the order of their names; the constant is shared by all examples, and so is its error."""
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    short, rng = load(run), torch.Generator().manual_seed(2)
    constant = normaliser(short, rng, batch=64)
    noisy = x + 0.05 * torch.randn(x.shape, generator=rng)
    due = log_likelihood(short, noisy, torch.Generator().manual_seed(2), batch=64)
    found = short.values(x, torch.Generator().manual_seed(2), batch=64)
    assert [float(one.values.mean()) for one in found] == pytest.approx([due.flow, due.tilted, due.gain], abs=1e-9)
    assert [one.error for one in found] == [0, constant.error, constant.error]
    assert found[1].note.startswith("densities in nats of examples with data noise 0.05; p: log Z ")


def test_importance_sampling_needs_no_steps_of_the_sampler(run):
    """A sampler whose chains have no setting of their length serves too."""

    class Whole(Sampler):
        def chain(self, energy, x, rng):
            raise NotImplementedError

    short = replace(load(run), sampler=Whole())
    assert math.isfinite(normaliser(short, torch.Generator().manual_seed(0), draws=50).value)
    with pytest.raises(UsageError, match="has no setting `steps`"):
        normaliser(short, torch.Generator(), draws=50, temperatures=2)


def test_another_model_has_no_likelihood(tmp_path):
    asked = {"data": {"use": "gaussians", "count": 50}, "energy": {"use": "mlp"}, "train": {"iterations": 1}}
    list(train({**asked, "watch.pictures": {"every": 0}}, folder=tmp_path / "a"))
    with pytest.raises(UsageError, match="nt-ebm only"):
        log_likelihood(load(tmp_path / "a"), torch.zeros(3, 2), torch.Generator())
