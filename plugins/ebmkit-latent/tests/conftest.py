"""Methods in closed form: linear generators and quadratic energies, and a z of moments."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ebmkit_latent.latent_ebm import LatentEBM
from torch import Generator, Tensor, nn

from ebmkit import Accelerated
from ebmkit.inits import Gaussian
from ebmkit.samplers import Langevin


class Quadratic(nn.Module):
    """(z - c) A (z - c) / 2."""

    def __init__(self, a: Tensor, c: Tensor) -> None:
        super().__init__()
        self.a, self.c = nn.Parameter(a), nn.Parameter(c)

    def forward(self, z: Tensor) -> Tensor:
        offset = z - self.c
        return ((offset @ self.a) * offset).sum(1) / 2


class Linear(nn.Module):
    """W z + b."""

    def __init__(self, w: Tensor, b: Tensor) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(w), nn.Parameter(b)

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.w.T + self.b


class Problem(SimpleNamespace):
    """A posterior in closed form: W `(5, 3)`, b, A, c, one example x, and the terms `precision` and `linear`."""

    def __init__(self, sigma: float = 0.5) -> None:
        rng, d = Generator().manual_seed(1), 3
        a = torch.randn(d, d, generator=rng)
        w, b, c, x = (torch.randn(*shape, generator=rng) for shape in ((5, d), (5,), (d,), (1, 5)))
        super().__init__(w=w, b=b, a=a @ a.T / d, c=c, x=x, d=d, sigma=sigma)
        self.precision = torch.eye(d) + self.a + w.T @ w / sigma**2
        self.linear = self.a @ c + w.T @ (x[0] - b) / sigma**2

    def method(self, kind: Callable[..., Any] = LatentEBM, *, steps: int, s: float, n: int, **settings: Any) -> Any:
        """A method on this problem, with posterior chains of `steps` steps for `n` examples; nothing learns."""
        langevin = Langevin(steps=steps, step_size=s**2 / 2, noise=s)

        def still(*networks: nn.Module) -> torch.optim.Optimizer:
            return torch.optim.SGD([one for network in networks for one in network.parameters()], lr=0.0)

        parts = SimpleNamespace(
            batch=n,
            device=torch.device("cpu"),
            energy=lambda shape: Quadratic(self.a.clone(), self.c.clone()),
            generator=lambda inputs, outputs: Linear(self.w.clone(), self.b.clone()),
            encoder=lambda inputs, outputs: nn.Linear(inputs[0], outputs[0]),
            init=lambda shape: Gaussian(shape),
            sampler=lambda: Langevin(steps=1, step_size=0.01, noise=0.1),
            posterior=lambda: langevin,
            optimizer=still,
            generator_optimizer=still,
            diffusion_optimizer=still,
            chains=lambda energy, shape, gradients: Accelerated(energy).refreshed,
        )
        torch.manual_seed(0)
        method = kind(parts, (5,), latent=self.d, sigma=self.sigma, **settings)
        method.begin(Generator().manual_seed(3))
        return method


@pytest.fixture
def problem() -> Problem:
    return Problem()


@pytest.fixture
def worst_z() -> Callable[[Tensor, Tensor, Tensor], float]:
    """The largest |z| among all means and (co)variances of `x` `(N, d)`, against `(d,)` and `(d, d)`."""

    def found(x: Tensor, mean: Tensor, covariance: Tensor) -> float:
        offset = x.double() - mean
        products = (offset.unsqueeze(2) * offset.unsqueeze(1)).flatten(1) - covariance.flatten()
        both = torch.cat([offset, products], dim=1)
        return float((both.mean(0) / (both.std(0) / math.sqrt(len(x)))).abs().max())

    return found
