"""What is read off runs and models: known answers."""

import json
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Generator, nn

from ebmkit.evaluation.diagnostics import convergence
from ebmkit.evaluation.energy import energies, energy_along
from ebmkit.evaluation.moments import FeatureMeans, feature_means, hidden_features
from ebmkit.evaluation.nearest import nearest_examples, pca_reconstruction
from ebmkit.evaluation.training_curves import correlations, cross_correlation, read_metrics
from ebmkit.data.examples import Examples
from ebmkit.energies.convnet import ConvNet
from ebmkit.energies.mlp import MLP
from ebmkit.energies.resnet import ResNet
from ebmkit.errors import UsageError
from ebmkit.inits.gaussian import Gaussian
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun

Z = 5


def rng(seed=0):
    return Generator().manual_seed(seed)


def written(folder, text):
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    return folder


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def refused(match, what, *given, **settings):
    with pytest.raises(UsageError, match=match) as error:
        what(*given, **settings)
    assert "\n" not in str(error.value)


def test_a_projection_keeps_what_lies_in_the_components_and_nothing_else():
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(2, 12, generator=generator)
    data = Examples((torch.randn(300, 2, generator=generator) @ plane / 20 + 0.1).reshape(300, 3, 4))
    before = torch.get_rng_state()
    inside = data.fetch(torch.arange(5))
    torch.testing.assert_close(pca_reconstruction(inside, data, components=2).float(), inside)
    assert torch.equal(torch.get_rng_state(), before)
    normal = torch.linalg.svd(plane)[2][2].reshape(1, 3, 4)  # a direction that the plane does not have
    torch.testing.assert_close(pca_reconstruction(inside + normal, data, components=2).float(), inside)
    one = pca_reconstruction(inside, data, components=1).float()
    assert (one - inside).abs().max() > 1e-3
    torch.testing.assert_close(pca_reconstruction(inside, data, components=99, most=200).float(), inside)


def test_a_history_has_every_figure_of_every_line(tmp_path):
    past = read_metrics(written(tmp_path, lines({"update": 1, "gap": 0.5}, {"update": 2, "gap": None, "accepted": 1})))
    assert list(past) == ["update", "gap", "accepted"]
    assert all(values.dtype == torch.float64 for values in past.values())
    assert past["update"].tolist() == [1, 2]
    assert past["gap"][0] == 0.5
    assert past["gap"][1].isnan()
    assert past["accepted"][0].isnan()
    assert past["accepted"][1] == 1


@pytest.mark.parametrize("cut", ['{"update": 3, "ga', "17", '{"update": "x"}', '{"update": [3]}', "\ufffd"])
def test_a_last_line_that_is_cut_off_is_left_out_with_a_warning(tmp_path, cut):
    place = written(tmp_path, lines({"update": 1}, {"update": 2}) + cut)
    with pytest.warns(UserWarning, match="last line was cut off"):
        assert read_metrics(place)["update"].tolist() == [1, 2]


def test_a_history_damaged_before_its_end_or_empty_or_absent_is_refused(tmp_path):
    refused(r"cannot read .*metrics.jsonl: No such file", read_metrics, tmp_path)
    refused(r"metrics.jsonl:2 is damaged", read_metrics, written(tmp_path, '{"update": 1}\n{"up\n{"update": 3}\n'))
    refused("has no values yet", read_metrics, written(tmp_path, ""))


def moving(steps=400, delay=3):
    """A white gap, and a gradient that is the same one `delay` updates later."""
    noise = torch.randn(steps + delay, generator=rng(), dtype=torch.float64)
    gradient = noise[:steps]
    return {"gap": noise[delay:], "start_gradient": gradient + 5, "end_gradient": gradient - 1}


def test_the_gradient_that_follows_the_gap_correlates_at_that_lag_and_no_other():
    found = correlations(moving(), lags=10)
    assert found.lags.tolist() == list(range(-10, 11))
    assert found.cross.argmax() == 10 + 3
    assert found.cross[13] > 0.95
    others = torch.cat([found.cross[:13], found.cross[14:]])
    assert others.abs().max() < Z / math.sqrt(400)
    assert found.gap.shape == found.gradient.shape == (11,)
    assert found.gap[0] == found.gradient[0] == 1
    assert found.gap[1:].abs().max() < Z / math.sqrt(400)


def test_a_gap_that_changes_sign_each_time_has_an_autocorrelation_of_minus_one():
    sign = torch.tensor([1.0, -1.0] * 500, dtype=torch.float64)
    found = correlations({"gap": sign, "start_gradient": sign, "end_gradient": sign}, lags=2)
    torch.testing.assert_close(found.gap, torch.tensor([1, -0.999, 0.998], dtype=torch.float64))
    torch.testing.assert_close(found.cross, found.gap[[2, 1, 0, 1, 2]])


def test_cross_correlation_is_its_definition():
    a, b = torch.randn(2, 7, generator=rng(), dtype=torch.float64)
    found = cross_correlation(a, b, 6)
    scale = 7 * a.std(correction=0) * b.std(correction=0)
    for lag in range(-6, 7):
        pairs = [(a[i] - a.mean()) * (b[i + lag] - b.mean()) for i in range(7) if 0 <= i + lag < 7]
        torch.testing.assert_close(found[6 + lag], sum(pairs) / scale)


def test_what_does_not_vary_or_is_not_finite_has_no_cross_correlation():
    a = torch.arange(5.0)
    for b in (torch.full((5,), 0.1), torch.tensor([1.0, math.nan, 2, 3, 4])):
        assert cross_correlation(a, b, 2).isnan().all()
        assert cross_correlation(b, a, 2).isnan().all()


def test_correlations_need_gradients_and_are_taken_to_the_last_lag():
    refused("no gradients of the chain", correlations, {"gap": torch.rand(9)})
    refused("lags must be at least 1", correlations, moving(), lags=0)
    refused("at least 4 steps", correlations, moving(3))
    assert len(correlations(moving(6), lags=50).gap) == 6


def test_energies_are_those_of_one_batch_whatever_the_chunks():
    energy, x = ResNet((1, 8, 8), width=4, stages=1), torch.rand(7, 1, 8, 8, generator=rng())
    found = energies(energy, x, batch=3)
    assert not found.requires_grad
    torch.testing.assert_close(found, energy(x).detach())
    assert energy.training
    assert energies(lambda x: x.sum(1, keepdim=True), torch.ones(3, 2)).shape == (3,)


def bowl(x):
    return x.square().sum(1) / 2


def test_the_energy_along_a_chain_is_that_of_a_shrinking_bowl():
    """Without noise x' = x / 2, so that the energy falls to a quarter in each step."""
    short = ShortRun(bowl, Langevin(steps=4, step_size=0.5, noise=0), Gaussian((3,)))
    along = energy_along(short, 50, rng())
    start = bowl(short.init.sample(50, rng()))
    factors = 0.25 ** torch.arange(5.0)
    torch.testing.assert_close(along.mean, start.mean() * factors)
    torch.testing.assert_close(along.sd, start.std() * factors)
    refused("n must be at least 2", energy_along, short, 1, rng())


@pytest.mark.parametrize(
    ("energy", "width"),
    [
        (MLP((1, 8, 8), width=5), 5),
        (ConvNet((1, 8, 8), width=3), 6 * 16),
        (ResNet((1, 8, 8), width=3, stages=1, spectral_norm=True), 3),
    ],
)
def test_features_are_what_the_last_layer_makes_the_energy_of(energy, width):
    x = torch.rand(6, 1, 8, 8, generator=rng())
    h = hidden_features(energy, x, batch=4)
    assert h.shape == (6, width)
    assert not h.requires_grad
    last = [layer for layer in energy.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]
    energy.eval()
    torch.testing.assert_close(h @ last.weight.flatten() + last.bias, energy(x))
    assert not any(layer._forward_pre_hooks for layer in energy.modules())


def test_the_last_layer_is_the_one_that_is_called_last_not_the_one_that_was_made_last():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(3, 1), nn.Linear(2, 3)

        def forward(self, x):
            return self.last(self.first(x).relu())

    assert hidden_features(Backwards(), torch.rand(4, 2)).shape == (4, 3)


def test_an_energy_without_layers_has_no_features_and_hooks_go_when_it_raises():
    refused("has no features", hidden_features, bowl, torch.rand(4, 2))

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(1, 1)

        def forward(self, x):
            return self.layer(x.reshape(-1, 1)).reshape(len(x), -1).sum(1)

    mixed = Mixed()
    refused("Mixed has no features", hidden_features, mixed, torch.rand(4, 2))
    assert not mixed.layer._forward_pre_hooks


@dataclass
class Straight:
    """Examples whose features are themselves."""

    width: int

    def energy(self):
        return nn.Linear(self.width, 1)

    def draws(self, n, seed, shift=0.0):
        return torch.randn(n, self.width, generator=rng(seed)) + torch.arange(1.0, self.width + 1) + shift


def test_moments_are_means_with_their_standard_errors():
    world = Straight(2)
    data, samples = world.draws(50, 0), world.draws(80, 1)
    found = feature_means(world.energy(), data, samples)
    torch.testing.assert_close(found.data, data.double().mean(0))
    torch.testing.assert_close(found.model, samples.double().mean(0))
    torch.testing.assert_close(found.data_error, data.double().std(0) / math.sqrt(50))
    torch.testing.assert_close(found.model_error, samples.double().std(0) / math.sqrt(80))
    refused("number of samples must be at least 2", feature_means, world.energy(), data, samples[:1])
    refused("number of examples must be at least 2", feature_means, world.energy(), data[:1], samples)


def moment_z(shift):
    """By how many standard errors the means of data and of samples shifted by `shift` differ: the worst."""
    world = Straight(20)
    found = feature_means(world.energy(), world.draws(4000, 0), world.draws(4000, 1, shift))
    error = (found.data_error.square() + found.model_error.square()).sqrt()
    return float(((found.model - found.data) / error).abs().max())


def test_matched_moments_are_told_from_shifted_ones():
    assert moment_z(0.0) < Z
    assert moment_z(0.2) > Z


def test_distance_correlation_and_noise_of_known_moments():
    one = torch.ones(2, dtype=torch.float64)
    data = torch.tensor([3.0, 4.0], dtype=torch.float64)
    found = FeatureMeans(data, data + torch.tensor([0.0, 1.0]), 0.3 * one, 0.4 * one)
    assert found.distance == pytest.approx(1 / 5)
    assert found.noise == pytest.approx(math.sqrt(2 * 0.25) / 5)
    assert found.correlation == pytest.approx(1)
    assert FeatureMeans(data, data.flip(0), one, one).correlation == pytest.approx(-1)
    assert math.isnan(FeatureMeans(data[:1], data[:1], one[:1], one[:1]).correlation)


def test_the_noise_of_moments_is_the_distance_of_samples_of_the_same_law():
    world = Straight(500)
    found = feature_means(world.energy(), world.draws(300, 0), world.draws(200, 1))
    assert found.distance == pytest.approx(found.noise, rel=Z / math.sqrt(2 * 500))
    shifted = feature_means(world.energy(), world.draws(300, 0), world.draws(200, 1, 0.2))
    assert shifted.distance > 1.5 * shifted.noise


def test_convergence_is_the_worst_element_s():
    x = torch.randn(500, 4, 3, generator=rng())
    good = convergence(x)
    assert good.rhat < 1.01
    assert good.ess > 1000
    apart = x.clone()
    apart[:, 0, 1] += 5
    assert convergence(apart).rhat > 1.5
    slow = x.clone()
    slow[..., 2] = slow[..., 2].cumsum(0)
    assert convergence(slow).ess < 50
    refused("at least 4 steps", convergence, x[:3])


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_the_nearest_examples_are_those_of_all_pairs(batch):
    data, x = torch.rand(40, 1, 3, 3, generator=rng(1)), torch.rand(5, 1, 3, 3, generator=rng(2))
    found = nearest_examples(x, Examples(data), count=3, batch=batch)
    every = (x.flatten(1)[:, None] - data.flatten(1)).norm(dim=2)
    distance, order = every.sort(dim=1)
    torch.testing.assert_close(found.distance, distance[:, :3])
    assert torch.equal(found.indices, order[:, :3])


def test_a_copy_of_an_example_is_found_at_distance_zero_and_the_first_of_two():
    data = torch.rand(10, 300, generator=rng()) + 100
    data[7] = data[4]
    found = nearest_examples(data[4:5], Examples(data), count=2, batch=3)
    assert found.indices.tolist() == [[4, 7]]
    assert found.distance.tolist() == [[0, 0]]
    refused("count must be at least 1 and at most 10", nearest_examples, data, Examples(data), count=11)
