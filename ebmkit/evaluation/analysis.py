"""What can be read off a trained model: tensors in, tensors and floats out."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, check
from ebmkit.evaluation.diagnostics import effective_sample_size, split_rhat
from ebmkit.interfaces import EnergyFn, energy_values, eval_mode
from ebmkit.shortrun import ShortRun


def energies(energy: EnergyFn, x: Tensor, *, batch: int = 256) -> Tensor:
    """E(x) `(B,)` of examples `(B, *shape)`, at most `batch` at a time and without a graph."""
    check("batch", batch, at_least=1)
    with torch.no_grad(), eval_mode(energy):
        return torch.cat([energy_values(energy, some) for some in torch.split(x, batch)])


class Along(NamedTuple):
    """Mean and standard deviation over chains of the energy after 0 to K steps, `(K + 1,)` each."""

    mean: Tensor
    sd: Tensor


def energy_along(short: ShortRun, n: int, rng: Generator) -> Along:
    """The energy along n of the model's chains; the first entry is that of the start.

    Raises:
        UsageError: unless n is at least 2.
    """
    check("n", n, at_least=2)
    x = short.init.sample(n, rng)
    seen = [energies(short.energy, x)]
    with eval_mode(short.energy):
        seen += [energies(short.energy, state.x) for state in short.sampler.chain(short.energy, x, rng)]
    along = torch.stack(seen)
    return Along(along.mean(1), along.std(1))


@dataclass(frozen=True)
class Moments:
    """Means of the features h of a network's last hidden layer, under the data and under the model q; `(d,)` each.

    Attributes:
        data: E_data[h].
        model: E_q[h].
        data_error: Standard errors of `data`.
        model_error: Those of `model`.
    """

    data: Tensor
    model: Tensor
    data_error: Tensor
    model_error: Tensor

    @property
    def correlation(self) -> float:
        """Correlation of the two means over the features: 1 where they are matched. NaN where they do not vary."""
        return float(torch.corrcoef(torch.stack([self.data, self.model]))[0, 1]) if len(self.data) > 1 else math.nan

    @property
    def distance(self) -> float:
        """`|E_q[h] - E_data[h]| / |E_data[h]|`, with Euclidean norms: 0 where they are matched."""
        return float((self.model - self.data).norm() / self.data.norm())

    @property
    def noise(self) -> float:
        """The `distance` that samples of these sizes would show if data and model had the same means."""
        error = (self.data_error.square() + self.model_error.square()).sum().sqrt()
        return float(error / self.data.norm())


def moments(energy: EnergyFn, data: Tensor, samples: Tensor) -> Moments:
    """Compare E_data[h] with E_q[h], from examples and samples `(B, *shape)`, at least 2 of each.

    With a linear last layer, E = ⟨w, h⟩ + b, learning is at rest only where the two agree: q then is a moment-matching
    estimator, whether or not its chains are near exp(-E).

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, section 4: generalised moment matching.

    Raises:
        UsageError: if there are fewer than two of each, or h cannot be found (see `features`).
    """
    check("the number of examples", len(data), at_least=2)
    check("the number of samples", len(samples), at_least=2)
    real, fake = (features(energy, x).double() for x in (data, samples))
    errors = [h.std(0) / math.sqrt(len(h)) for h in (real, fake)]
    return Moments(real.mean(0), fake.mean(0), *errors)


def features(energy: EnergyFn, x: Tensor, *, batch: int = 256) -> Tensor:
    """What enters the last linear layer or convolution that `energy` calls, flattened: `(B, d)`.

    Raises:
        UsageError: if `energy` is no module with such a layer, or that layer does not see the examples one by one.
    """
    check("batch", batch, at_least=1)
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = [layer for layer in energy.modules() if isinstance(layer, kinds)] if isinstance(energy, nn.Module) else []
    entered: dict[str, Tensor] = {}
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: entered.update(last=inputs[0])) for layer in layers]
    found: list[Tensor] = []
    try:
        with torch.no_grad(), eval_mode(energy):
            for some in torch.split(x, batch):
                energy_values(energy, some)
                if "last" not in entered or len(entered["last"]) != len(some):
                    name = type(energy).__name__
                    raise UsageError(
                        f"{name} has no features: expected a network with a last linear layer or convolution"
                    )
                found.append(entered["last"].flatten(1))
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(found)


class Convergence(NamedTuple):
    """The worst over all elements: the largest split R-hat, and the smallest effective sample size."""

    rhat: float
    ess: float


def convergence(x: Tensor) -> Convergence:
    """Whether long chains `(steps, chains, *shape)` agree; NaN if an element does not vary.

    Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 2021.

    Raises:
        UsageError: if there are fewer than 4 steps, or no axis of chains.
    """
    return Convergence(float(split_rhat(x).max()), float(effective_sample_size(x).min()))


class Neighbours(NamedTuple):
    """The nearest examples, nearest first: `distance` and `indices`, `(n, count)` each."""

    distance: Tensor
    indices: Tensor


def neighbours(x: Tensor, examples: Examples, *, count: int = 1, batch: int = 1024) -> Neighbours:
    """The `count` examples nearest to each of `x` `(n, *shape)` in Euclidean distance; the first of equals.

    Args:
        x: What to find again, as whether the model copies its data.
        examples: Where to look, all of them, at most `batch` at a time.
        count: How many to find.
        batch: How many examples are in memory at once.

    Raises:
        UsageError: if there are fewer than `count` examples.
    """
    check("count", count, at_least=1, at_most=len(examples))
    check("batch", batch, at_least=1)
    query = x.detach().float().cpu().flatten(1)
    distance = torch.empty(len(x), 0)
    index = torch.empty(len(x), 0, dtype=torch.long)
    for start in range(0, len(examples), batch):
        some = torch.arange(start, min(start + batch, len(examples)))
        # The faster product of matrices loses small distances to rounding, and a copy is at distance 0.
        found = torch.cdist(query, examples.fetch(some).flatten(1), compute_mode="donot_use_mm_for_euclid_dist")
        distance, order = torch.cat([distance, found], dim=1).sort(dim=1, stable=True)
        index = torch.cat([index, some.expand(len(x), -1)], dim=1).gather(1, order)[:, :count]
        distance = distance[:, :count]
    return Neighbours(distance, index)


def projected(x: Tensor, examples: Examples, *, components: int = 32, most: int = 4000) -> Tensor:
    """`x` `(n, *shape)` as the principal components of the data see it: a linear reconstruction, for comparison.

    Args:
        x: What to reconstruct.
        examples: Where the components are from: the first `most` of them.
        components: How many components, at most one less than there are examples and one for each element.
        most: How many examples are looked at.

    Raises:
        UsageError: if a number is below 1.
    """
    check("components", components, at_least=1)
    check("most", most, at_least=1)
    data = examples.fetch(torch.arange(min(most, len(examples)))).double().flatten(1)
    mean = data.mean(0)
    count = min(components, *data.shape)
    with torch.random.fork_rng(devices=[]):  # the method is randomised
        torch.manual_seed(0)
        _, _, axes = torch.pca_lowrank(data - mean, q=count, center=False, niter=4)
    offset = x.detach().cpu().double().flatten(1) - mean
    return (mean + offset @ axes @ axes.T).reshape(x.shape)
