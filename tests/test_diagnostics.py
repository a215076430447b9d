"""Diagnostics of chains: against a plain loop of Stan's rule, series with known answers, and arviz if installed."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError
from ebmkit.evaluation.diagnostics import autocorrelation, convergence, effective_sample_size, split_rhat

EVERY = [autocorrelation, effective_sample_size, split_rhat]
every_one = pytest.mark.parametrize("diagnostic", EVERY, ids=[diagnostic.__name__ for diagnostic in EVERY])
memories = pytest.mark.parametrize("memory", [-0.6, -0.2, 0.0, 0.5, 0.9])


def rng(seed=0):
    return Generator().manual_seed(seed)


def series(memory: float, steps: int, *chains: int, seed: int = 0) -> Tensor:
    """Stationary chains `x' = memory x + noise` of unit variance, `(steps, *chains)`."""
    noise = torch.randn(steps, *chains, generator=rng(seed), dtype=torch.float64)
    noise[1:] *= math.sqrt(1 - memory**2)
    for step in range(1, steps):
        noise[step] += memory * noise[step - 1]
    return noise


def stans(x: Tensor) -> float:
    """Effective sample size of `(steps, chains)` by the rule as it is written, one lag after the other."""
    half = len(x) // 2
    chains = [*x[:half].T, *x[-half:].T]
    centred = [chain - chain.mean() for chain in chains]
    covariances = [sum(float(c[: half - t] @ c[t:]) for c in centred) / half / len(chains) for t in range(half)]
    means = torch.stack([chain.mean() for chain in chains])
    within = covariances[0] * half / (half - 1)
    total = covariances[0] + float(means.var())
    rho = [1.0] + [1 - (within - covariance) / total for covariance in covariances[1:]]
    time, least = -1.0, math.inf
    for t in range(0, half - 1, 2):
        if rho[t] + rho[t + 1] <= 0:
            time += max(rho[t], 0)
            break
        least = min(least, rho[t] + rho[t + 1])
        time += 2 * least
    draws = half * len(chains)
    return draws / max(time, 1 / math.log10(draws))


@memories
@pytest.mark.parametrize(("steps", "chains"), [(4, 1), (7, 3), (200, 1), (201, 4)])
def test_effective_size_is_that_of_stans_rule(memory: float, steps: int, chains: int):
    x = 3 + series(memory, steps, chains, seed=steps)
    torch.testing.assert_close(effective_sample_size(x).item(), stans(x), rtol=1e-9, atol=0)


@memories
def test_effective_size_of_an_autoregression_is_known(memory: float):
    steps, chains = 20_000, 10
    found = effective_sample_size(series(memory, steps, chains, seed=1)) / (steps * chains)
    expected = (1 - memory) / (1 + memory)
    # Relative standard error of a sum cut at lag M (Sokal 1997): sqrt(2 (2 M + 1) / n); ρ(M) is below noise at M.
    cut = 2 if memory == 0 else 2 + math.log(1 / math.sqrt(steps * chains)) / math.log(abs(memory))
    error = math.sqrt(2 * (2 * cut + 1) / (steps * chains))
    assert abs(math.log(found / expected)) / error < 5
    assert abs(math.log(found * 1.25 / expected)) / error > 5


def squared_errors_z(memory: float, size: Callable[[Tensor], Tensor]) -> float:
    """z of the claim that means of chains, over their standard errors, have unit variance."""
    x = series(memory, 1000, 4, 400, seed=2)
    squares = x.mean((0, 1)).square() * size(x)
    return float((squares.mean() - 1) / (squares.std() / math.sqrt(400)))


@memories
def test_standard_errors_match_the_actual_errors(memory: float):
    assert abs(squared_errors_z(memory, effective_sample_size)) < 5


@pytest.mark.parametrize("memory", [-0.6, 0.5, 0.9])
def test_independence_assumed_in_error_is_detected(memory: float):
    assert abs(squared_errors_z(memory, lambda x: torch.full((400,), 4000.0))) > 5


@pytest.mark.parametrize("memory", [-0.6, 0.0, 0.9])
def test_autocorrelation_equals_its_definition(memory: float):
    x = series(memory, 60, 2, 3, seed=3)
    centred = x - x.mean(0)
    plain = torch.stack([(centred[: 60 - lag] * centred[lag:]).sum(0) for lag in range(60)])
    torch.testing.assert_close(autocorrelation(x), plain / plain[0])


def test_autocorrelation_of_an_autoregression_is_known():
    found = autocorrelation(series(0.8, 100_000, 1, seed=4))[:10, 0]
    # Bartlett's error is below sqrt((1 + m²) / (1 - m²) / n) at every lag.
    error = math.sqrt((1 + 0.8**2) / (1 - 0.8**2) / 100_000)
    assert ((found - 0.8 ** torch.arange(10)).abs() / error).max() < 5
    assert ((found - 0.75 ** torch.arange(10)).abs() / error).max() > 5


def test_every_element_has_its_own_diagnostics():
    x = torch.stack([series(0.0, 100, 3), series(0.9, 100, 3), 7 * series(0.5, 100, 3) + 2], dim=2).unflatten(2, (3, 1))
    assert autocorrelation(x).shape == (100, 3, 3, 1)
    for diagnostic in (effective_sample_size, split_rhat):
        found = diagnostic(x)
        assert found.shape == (3, 1)
        torch.testing.assert_close(found[:, 0], torch.stack([diagnostic(x[:, :, i, 0]) for i in range(3)]))


@every_one
def test_location_and_scale_do_not_matter(diagnostic: Callable[[Tensor], Tensor]):
    x = series(0.5, 200, 4, seed=5)
    torch.testing.assert_close(diagnostic(1000 - 8 * x), diagnostic(x), rtol=1e-6, atol=1e-9)


@every_one
def test_single_precision_and_graphs_are_accepted(diagnostic: Callable[[Tensor], Tensor]):
    x = series(0.5, 50, 2).float()
    found = diagnostic(x.clone().requires_grad_())
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert torch.equal(found, diagnostic(x.double()))


def test_rhat_is_near_1_for_one_distribution():
    assert split_rhat(series(0.5, 2000, 4, seed=6)) < 1.01


@pytest.mark.parametrize(
    "disagree",
    [
        lambda x: x + torch.arange(4.0),
        lambda x: x * torch.tensor([1.0, 1.0, 1.0, 3.0]),
        lambda x: x + torch.linspace(0, 2, 2000).unsqueeze(1),
    ],
    ids=["places", "scales", "drift"],
)
def test_rhat_is_large_for_different_distributions(disagree: Callable[[Tensor], Tensor]):
    x = disagree(series(0.5, 2000, 4, seed=6))
    assert split_rhat(x) > 1.01


def test_stuck_chains_disagree_and_have_few_effective_draws():
    stuck = torch.arange(4.0).expand(1000, 4) + 1e-3 * series(0.0, 1000, 4)
    assert split_rhat(stuck) > 2
    assert effective_sample_size(stuck) < 10


def test_rhat_handles_heavy_tails_and_ties():
    heavy = torch.tan(torch.pi * (torch.rand(2000, 4, generator=rng(7), dtype=torch.float64) - 0.5))
    assert split_rhat(heavy) < 1.01
    assert split_rhat((heavy > 0).double()) < 1.01


@pytest.mark.parametrize("constant", [0.0, 0.1, math.nan, math.inf])
@every_one
def test_diagnostics_of_a_constant_are_nan(diagnostic: Callable[[Tensor], Tensor], constant: float):
    x = torch.stack([torch.full((50, 3), constant, dtype=torch.float64), series(0.0, 50, 3)], dim=2)
    found = diagnostic(x)
    assert found[..., 0].isnan().all()
    assert found[..., 1].isfinite().all()


@pytest.mark.parametrize("hole", [math.nan, math.inf])
@pytest.mark.parametrize("diagnostic", [effective_sample_size, split_rhat])
def test_one_nonfinite_value_makes_the_result_nan(diagnostic: Callable[[Tensor], Tensor], hole: float):
    x = series(0.0, 50, 3)
    x[7, 1] = hole
    assert diagnostic(x).isnan()


@pytest.mark.parametrize("steps", [1, 3])
@every_one
def test_chains_that_are_too_short_are_refused(diagnostic: Callable[[Tensor], Tensor], steps: int):
    with pytest.raises(UsageError, match=f"^x must have at least 4 steps, not {steps}$"):
        diagnostic(torch.zeros(steps, 2))


@pytest.mark.parametrize("shape", [(), (50,), (0, 2), (50, 0)], ids=str)
@every_one
def test_tensors_without_chains_are_refused(diagnostic: Callable[[Tensor], Tensor], shape: tuple[int, ...]):
    with pytest.raises(UsageError, match=r"^x must be of shape \(steps, chains, \*shape\), not \("):
        diagnostic(torch.zeros(shape))


def test_convergence_is_that_of_the_worst_element():
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
    with pytest.raises(UsageError, match="at least 4 steps"):
        convergence(x[:3])


@memories
def test_arviz_agrees(memory: float):
    arviz = pytest.importorskip("arviz")
    for steps in (200, 401):
        x = series(memory, steps, 4, seed=8)
        draws = x.T.numpy()
        assert effective_sample_size(x).item() == pytest.approx(float(arviz.ess(draws, method="mean")), rel=1e-6)
        assert split_rhat(x).item() == pytest.approx(float(arviz.rhat(draws, method="rank")), rel=1e-9)
