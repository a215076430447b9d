"""Generalised moment matching: whether a network's features have the same means under the data and under the model."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ebmkit.errors import UsageError, check
from ebmkit.evaluation.rows import doubles
from ebmkit.interfaces import EnergyFn, energy_values, eval_mode


@dataclass(frozen=True)
class FeatureMeans:
    """Means of the features h of a network's last hidden layer, under the data and under the model q; `(d,)` each.

    Attributes:
        data: E_data[h].
        model: E_q[h].
        data_error: Standard errors of `data`.
        model_error: Standard errors of `model`.
    """

    data: Tensor
    model: Tensor
    data_error: Tensor
    model_error: Tensor

    @property
    def correlation(self) -> float:
        """Correlation of the two means over the features: 1 where they are matched, NaN where they do not vary."""
        return float(torch.corrcoef(torch.stack([self.data, self.model]))[0, 1]) if len(self.data) > 1 else math.nan

    @property
    def distance(self) -> float:
        """`|E_q[h] - E_data[h]| / |E_data[h]|`, with Euclidean norms: 0 where the means are matched."""
        return float((self.model - self.data).norm() / self.data.norm())

    @property
    def noise(self) -> float:
        """The `distance` expected from sampling noise only, if data and model had the same means."""
        error = (self.data_error.square() + self.model_error.square()).sum().sqrt()
        return float(error / self.data.norm())


def feature_means(energy: EnergyFn, data: Tensor, samples: Tensor) -> FeatureMeans:
    """E_data[h] and E_q[h], estimated from examples and from samples `(B, *shape)`, at least 2 of each.

    With a linear last layer, E = ⟨w, h⟩ + b, the gradient by w is zero exactly where the two agree. So at a fixed point
    of the training q is a moment-matching estimator, whether or not its chains are near exp(-E).

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, section 4: generalised moment matching.

    Raises:
        UsageError: if there are fewer than two of each, or h cannot be found (see `hidden_features`).
    """
    check("the number of examples", len(data), at_least=2)
    check("the number of samples", len(samples), at_least=2)
    real, fake = (doubles(hidden_features(energy, x)) for x in (data, samples))
    errors = [h.std(0) / math.sqrt(len(h)) for h in (real, fake)]
    return FeatureMeans(real.mean(0), fake.mean(0), *errors)


def hidden_features(energy: EnergyFn, x: Tensor, *, batch: int = 256) -> Tensor:
    """The input of the last linear layer or convolution that `energy` calls, flattened: `(B, d)`.

    Args:
        energy: A module with such a layer.
        x: Examples `(B, *shape)`.
        batch: How many examples are evaluated at once.

    Raises:
        UsageError: if `energy` is not a module with such a layer, or the layer's input does not have one row for each
            example.
    """
    check("batch", batch, at_least=1)
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    layers = [layer for layer in energy.modules() if isinstance(layer, kinds)] if isinstance(energy, nn.Module) else []
    latest: dict[str, Tensor] = {}
    hooks = [layer.register_forward_pre_hook(lambda _, inputs: latest.update(input=inputs[0])) for layer in layers]
    found: list[Tensor] = []
    try:
        with torch.no_grad(), eval_mode(energy):
            for chunk in torch.split(x, batch):
                energy_values(energy, chunk)
                if "input" not in latest or len(latest["input"]) != len(chunk):
                    name = type(energy).__name__
                    raise UsageError(
                        f"{name} has no features: expected a network with a last linear layer or convolution"
                    )
                found.append(latest["input"].flatten(1))
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(found)
