"""Laws of Hamiltonian Monte Carlo: Creutz's equality, detailed balance, invariance and stationary distributions."""

import math
from functools import partial
from typing import Any

import torch
from scipy import special
from torch import Generator, Tensor

from ebmkit.energies.analytic import DoubleWell, GaussianEnergy
from ebmkit.evaluation.diagnostics import effective_sample_size
from ebmkit.interfaces import value_and_grad
from ebmkit.samplers.hmc import HMC
from laws.law import Law, ks_z, mean_z, normal, rng, variance_z
from laws.mutants import Euler, Friction, NoLastKick, Undivided, WrongSign

N = 50_000
UNEVEN = GaussianEnergy((10,), precision=torch.logspace(-1, 1, 10, dtype=torch.float64))


class LogGamma:
    """E(x) = -shape x + rate exp(x): x is the logarithm of a gamma variable."""

    shape, rate = 5, 10.0

    def __call__(self, x: Tensor) -> Tensor:
        return (-self.shape * x + self.rate * x.exp()).sum(1)

    def draw(self, n: int, rng: Generator) -> Tensor:
        exponential = -torch.rand(n, self.shape, generator=rng, dtype=torch.float64).log()
        return (exponential.sum(1, keepdim=True) / self.rate).log()

    def cdf(self, x: Any) -> Any:
        return special.gammainc(self.shape, self.rate * torch.as_tensor(x).exp().numpy())


def creutz(*, kind: type[HMC] = HMC, heat: float = 1.0) -> float:
    """E[exp(-ΔH)] over exact draws and trajectories of 5 leapfrogs of 0.35."""
    generator = rng(31)
    sampler = kind(step_size=0.35, leapfrog=5)
    x, p = UNEVEN.draw(2 * N, generator), heat * normal(generator, 2 * N, 10)
    value, gradient = value_and_grad(UNEVEN, x)
    _, p_end, value_end, _ = sampler.leapfrogs(UNEVEN, x, p, gradient)
    return mean_z(torch.exp(value + sampler.kinetic(p) - value_end - sampler.kinetic(p_end)), 1.0)


def exchange(
    energy: GaussianEnergy | DoubleWell, step: float, leapfrog: int, *, kind: type[HMC] = HMC, **wrong: Any
) -> float:
    """x³x' - x x'³ of exact draws and one step, element by element."""
    generator = rng(32)
    x = energy.draw(2 * N, generator).double()
    settings = {"steps": 1, "step_size": step, "leapfrog": leapfrog, **wrong}
    end = kind(**settings).sample(energy, x, generator)
    return mean_z(x.pow(3) * end - x * end.pow(3))


def invariance(target: str, *, kind: type[HMC] = HMC, **wrong: Any) -> float:
    """Exact draws after 8 steps, by the Kolmogorov-Smirnov test."""
    generator = rng(33)
    energy, step = (LogGamma(), 0.4) if target == "log-gamma" else (DoubleWell((1,), height=2.0), 0.3)
    x = energy.draw(4 * N, generator).double()
    end = kind(**{"steps": 8, "step_size": step, "leapfrog": 5, **wrong}).sample(energy, x, generator)
    return ks_z(end, energy.cdf if isinstance(energy, LogGamma) else energy.draw(20 * N, rng(34)))


def temperature(target: float, *, theory: float = 1.0, **wrong: Any) -> float:
    """Chains that start at a point end with the variance T of exp(-x²/(2T))."""
    sampler = HMC(**{"steps": 20, "step_size": 0.9, "leapfrog": 2, "temperature": target, **wrong})
    end = sampler.sample(GaussianEnergy((1,)), torch.zeros(N, 1, dtype=torch.float64), rng(int(10 * target)))
    return variance_z(end, 0.0, theory * target)


def stationary(step: float, *, exact: bool = False, kind: type[HMC] = HMC, **wrong: Any) -> float:
    """Without adjustment, chains that start in N(0, 1 / (1 - e²/4)) stay there."""
    generator = rng(36)
    variance = 1.0 if exact else 1 / (1 - step**2 / 4)
    x = math.sqrt(variance) * normal(generator, N, 1)
    sampler = kind(**{"steps": 5, "step_size": step, "leapfrog": 3, "adjust": False, **wrong})
    return variance_z(sampler.sample(GaussianEnergy((1,)), x, generator), 0.0, variance)


def standard_errors(*, independent: bool = False, **wrong: Any) -> float:
    """Means, variances and the correlation of long chains, over standard errors estimated from the same chains.

    100 groups of 4 chains of 500 steps on N([0, 3], sd [1, 2], correlation 0.75): the largest |z| of a mean over the
    groups, or of the claim that the groups' deviations have unit variance.
    """
    groups, chains, steps, generator = 100, 4, 500, rng(37)
    covariance = torch.tensor([[1.0, 1.5], [1.5, 4.0]], dtype=torch.float64)
    mean = torch.tensor([0.0, 3.0], dtype=torch.float64)
    energy = GaussianEnergy((2,), mean=mean, precision=covariance.inverse())
    sampler = HMC(**{"steps": steps, "step_size": 0.8, "leapfrog": 1, **wrong})
    x = energy.draw(chains * groups, generator)
    path = torch.stack([state.x for state in sampler.chain(energy, x, generator)]).view(steps, chains, groups, 2)
    offset = (path - mean) / covariance.diag().sqrt()
    known = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.75], dtype=torch.float64)
    seen = torch.cat([offset, offset.square(), offset.prod(-1, keepdim=True)], dim=-1) - known
    size = steps * chains if independent else effective_sample_size(seen)
    z = seen.mean((0, 1)) / (seen.flatten(0, 1).var(0) / size).sqrt()
    # A square of a standard normal has variance 2.
    return float(torch.maximum(z.mean(0).abs(), (z.square().mean(0) - 1).abs() / math.sqrt(2)).max()) * math.sqrt(
        groups
    )


WELLS: list[tuple[str, GaussianEnergy | DoubleWell, float, int]] = [
    ("a 10-d Gaussian", UNEVEN, 0.5, 2),
    ("a double well", DoubleWell((2,), height=2.0), 0.5, 1),
]

LAWS = [
    Law(
        "HMC, Creutz's equality",
        "E[exp(-ΔH)] = 1 over exact draws of a 10-d Gaussian",
        creutz,
        {
            "momenta 10 % too hot": {"heat": 1.1},
            "p² for p²/2": {"kind": Undivided},
            "Euler for the leapfrog": {"kind": Euler},
            "1 % of friction": {"kind": Friction},
        },
    ),
    *(
        Law(
            f"HMC, detailed balance on {name}",
            "E[x³x' - x x'³] = 0 for exact draws x and one step to x'",
            partial(exchange, energy, step, leapfrog),
            {
                "no accept or reject": {"adjust": False},
                "ΔH of the wrong sign": {"kind": WrongSign},
                "no last half kick": {"kind": NoLastKick},
            },
        )
        for name, energy, step, leapfrog in WELLS
    ),
    *(
        Law(
            f"HMC, invariance on a {name} target",
            "exact draws keep their distribution (Kolmogorov-Smirnov test)",
            partial(invariance, name),
            {
                "target exp(-1.1 E)": {"temperature": 1 / 1.1},
                "no last half kick": {"kind": NoLastKick},
                "p² for p²/2": {"kind": Undivided},
                "Euler for the leapfrog": {"kind": Euler},
            },
        )
        for name in ("log-gamma", "double-well")
    ),
    *(
        Law(
            f"HMC, temperature {target:g}",
            "chains from a point sample exp(-E/T)",
            partial(temperature, target),
            {
                "T 5 % too high": {"temperature": 1.05 * target},
                "T left at 1": {"temperature": 1.0},
                "another T in the theory": {"theory": 0.95},
            },
        )
        for target in (0.3, 2.5)
    ),
    *(
        Law(
            f"HMC without adjustment, stationary, step size {step:g}",
            "N(0, 1 / (1 - e²/4)) is invariant",
            partial(stationary, step),
            {
                "the exact target's variance": {"exact": True},
                "with adjustment": {"adjust": True},
                "no last half kick, with adjustment": {"adjust": True, "kind": NoLastKick},
                "Euler for the leapfrog": {"kind": Euler},
            },
        )
        for step in (0.5, 0.8, 1.2)
    ),
    Law(
        "HMC, standard errors",
        "means, variances and the correlation of N([0, 3]) lie within the errors estimated from effective sample sizes",
        standard_errors,
        {
            "target exp(-1.1 E)": {"temperature": 1 / 1.1},
            "steps counted as independent": {"independent": True},
            "no accept or reject": {"adjust": False},
        },
    ),
]
