"""The penalty on the slope of the energy at real examples, and its default."""

import pytest
import torch
from network_makes import SHAPE, PerExample, Recurrent, SquaredSlope, Transformer, Wrapped, scripted
from odd_makes import BackByNumpy, LastByNumpy
from torch import Tensor, nn
from torch.backends import cuda
from torch.nn.functional import scaled_dot_product_attention
from trainers import data, rng, trainer, well

from ebmkit import register
from ebmkit.config.train_settings import TrainSettings
from ebmkit.energies.convnet import ConvNet
from ebmkit.errors import UsageError
from ebmkit.inits.uniform import Uniform
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.methods.penalties import refuse_detached_gradients, slopes
from ebmkit.modes import twice_differentiable
from ebmkit.runs.cost import estimate
from ebmkit.runs.training import new_run, resume_run
from ebmkit.samplers.langevin import Langevin

CHAIN = Langevin(steps=2, step_size=0.1, noise=0.1)
SMALL = {"energy": {"width": 4}, "sampler": {"steps": 2}, "watch": {"pictures": {"every": 0}}}


class Bowl(nn.Module):
    """E(x) = weight |x|² / 2, so that |dE/dx|² = weight² |x|²."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x.flatten(1).square().sum(1) / 2


class Attention(nn.Module):
    """Attention between the elements of an example, whose fused kernel has no second derivative."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 8)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.flatten(1)[..., None])[:, None]
        return scaled_dot_product_attention(tokens, tokens, tokens).square().mean((1, 2, 3))


def test_slopes_are_the_squared_norms_of_the_gradient():
    x = data(7)
    values, squares = slopes(Bowl(3.0), x)
    torch.testing.assert_close(values, 1.5 * x.flatten(1).square().sum(1))
    torch.testing.assert_close(squares, 9.0 * x.flatten(1).square().sum(1))


def test_the_gradient_penalty_has_the_exact_gradient():
    batch, energy = data(20), Bowl(3.0)
    update = trainer(energy, CHAIN, gradient_penalty=0.5).update(batch)
    square = batch.flatten(1).square().sum(1).mean()
    expected = square / 2 - update.fake.flatten(1).square().sum(1).mean() / 2 + 0.5 * 3.0 * square
    torch.testing.assert_close(energy.weight.grad, expected)
    gap = update.real_energy.mean() - update.fake_energy.mean()
    torch.testing.assert_close(update.loss, gap + 0.25 * 9.0 * square)


def test_without_a_gradient_penalty_nothing_changes():
    one, other = trainer(well(0.3)), trainer(well(0.3), gradient_penalty=0.0)
    assert torch.equal(one.update(data(20)).loss, other.update(data(20)).loss)
    assert torch.equal(one.energy.mean, other.energy.mean)


def test_a_gradient_penalty_below_zero_is_refused():
    with pytest.raises(UsageError, match="gradient_penalty must be at least 0, not -1"):
        trainer(well(0.3), gradient_penalty=-1.0)
    with pytest.raises(UsageError, match="gradient_penalty must be at least 0, not -1"):
        TrainSettings(gradient_penalty=-1.0)


def test_the_gradient_penalty_differentiates_attention_twice():
    training = trainer(Attention().double(), CHAIN, gradient_penalty=1.0)
    assert training.update(data(4)).loss.isfinite()


def test_the_penalty_of_a_compiled_energy_is_the_plain_one():
    norms = []
    for compiled in (False, True):
        torch.manual_seed(0)
        energy = Attention().double()
        if compiled:
            energy = torch.compile(energy, backend="aot_eager")
        norms.append(trainer(energy, CHAIN, gradient_penalty=1.0).update(data(4)).gradient_norm)
    torch.testing.assert_close(*norms)


@pytest.mark.parametrize("make", [BackByNumpy, LastByNumpy])
def test_a_backward_pass_by_numpy_is_refused(make):
    with pytest.raises(RuntimeError, match="the backward pass of NumpyBackward leaves autograd"):
        refuse_detached_gradients(make(SHAPE), torch.rand(4, *SHAPE))


class Stepped(Wrapped):
    """Has steps, whose derivative is zero."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + (8 * x).round() / 8 + x.sign())


@pytest.mark.parametrize("make", [Wrapped, SquaredSlope, PerExample, Transformer, Recurrent, Stepped, scripted])
def test_whole_second_derivatives_are_not_refused(make):
    refuse_detached_gradients(make(SHAPE), torch.rand(4, *SHAPE))


def test_the_trial_refuses_a_penalty_with_a_wrong_gradient(tmp_path):
    register("energy", "back", BackByNumpy)
    settings = {"energy": {"use": "back"}, "data": {"use": "shapes", "size": 16}, "watch": SMALL["watch"]}
    settings["sampler"] = SMALL["sampler"]
    with pytest.raises(UsageError, match=r"train without it: -s train.gradient_penalty=0 \(.*leaves autograd") as error:
        new_run(settings, tmp_path / "run")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
    settings["train"] = {"gradient_penalty": 0, "iterations": 1}
    list(new_run(settings, tmp_path / "run").train())


def test_a_rollback_that_could_not_train_is_refused(tmp_path):
    register("energy", "back", BackByNumpy)
    train = {"gradient_penalty": 0, "on_divergence": "rollback"}
    settings = {"energy": {"use": "back"}, "sampler": SMALL["sampler"], "watch": SMALL["watch"], "train": train}
    with pytest.raises(UsageError, match=r"as a rollback would: -s train\.on_divergence=stop"):
        new_run(settings, tmp_path / "run")


def test_penalties_in_threads_leave_attention_as_it_was():
    before = cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled()
    first, second = twice_differentiable(), twice_differentiable()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not cuda.flash_sdp_enabled()  # the second still needs it
    second.__exit__(None, None, None)
    assert (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled()) == before == (True, True)


@pytest.mark.parametrize(
    ("shape", "weight"), [((1, 8, 8), 0.0), ((3, 8, 9), 1.0), ((1, 32, 32), 1.0), ((2,), 0.0), ((784,), 0.0)]
)
def test_auto_is_a_penalty_for_images_above_8x8(shape, weight):
    assert TrainSettings().penalty(shape) == weight
    assert TrainSettings(gradient_penalty=0.25).penalty(shape) == 0.25


def test_a_run_records_the_penalty_that_auto_chose(tmp_path):
    settings = {**SMALL, "data": {"use": "shapes", "size": 16}, "train": {"iterations": 1, "batch_size": 4}}
    run = new_run(settings, tmp_path / "run")
    assert run.trainer.gradient_penalty == 1.0
    list(run.train())
    assert "gradient_penalty = 1.0" in (tmp_path / "run/config.toml").read_text()
    resumed = resume_run(tmp_path / "run", {"train": {"iterations": 2}})
    assert resumed.trainer.gradient_penalty == 1.0


def test_the_passes_of_the_penalty_are_counted():
    settings = {**SMALL, "data": {"use": "shapes", "size": 16}, "train": {"batch_size": 4}}
    assert estimate(new_run(settings))["network_passes_per_update"] == 2 + 3
    settings["train"]["gradient_penalty"] = 0.0
    assert estimate(new_run(settings))["network_passes_per_update"] == 2 + 2


def test_the_penalty_lowers_the_slope_at_the_data():
    torch.manual_seed(0)
    energies, x = {}, torch.rand(16, 1, 16, 16) * 2 - 1
    for weight in (0.0, 10.0):
        torch.manual_seed(0)
        energies[weight] = ConvNet((1, 16, 16), width=4)
        optimizer = torch.optim.Adam(energies[weight].parameters())
        init = Uniform((1, 16, 16))
        training = Trainer(energies[weight], CHAIN, init, optimizer, rng(), gradient_penalty=weight)
        for _ in range(20):
            training.update(x)
    plain, penalised = (slopes(energies[weight], x)[1].mean() for weight in (0.0, 10.0))
    assert penalised < plain
