"""The warmup of Mala: dual averaging, the acceptance rate that it reaches, and the distribution after it."""

import math
from itertools import islice, pairwise

import pytest
import torch
from ebmkit_mala.averaging import DualAveraging
from ebmkit_mala.sampler import Mala
from torch import Generator, Tensor

D = torch.float64
TARGET = 0.574
GAMMA, OFFSET, DECAY = 0.05, 10, 0.75


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def square(x: Tensor) -> Tensor:
    return x.square().flatten(1).sum(1) / 2


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=rng(seed), dtype=D)


def z(values: Tensor) -> Tensor:
    """z of the means of `values` `(N, ...)` against 0."""
    return values.mean(0) / (values.std(0) / math.sqrt(len(values)))


def test_dual_averaging_follows_the_paper():
    start = torch.tensor([0.01, 2.0], dtype=D)
    acceptance = torch.rand(12, 2, generator=rng(1), dtype=D)
    averaging = DualAveraging(start, 0.7)
    log_steps = []
    for m in range(1, 13):
        averaging.update(acceptance[m - 1])
        missing = (0.7 - acceptance[:m]).sum(0) / (m + OFFSET)
        log_steps.append((10 * start).log() - math.sqrt(m) / GAMMA * missing)
        torch.testing.assert_close(averaging.current, log_steps[-1].exp(), rtol=1e-12, atol=0)
        weights = [i**-DECAY * math.prod(1 - j**-DECAY for j in range(i + 1, m + 1)) for i in range(1, m + 1)]
        assert math.isclose(sum(weights), 1)
        average = sum(weight * log_step for weight, log_step in zip(weights, log_steps, strict=True))
        torch.testing.assert_close(averaging.average, average.exp(), rtol=1e-12, atol=0)


def path_z(target: float) -> float:
    """|z| of the number of accepted proposals, against what the step sizes say of their probabilities.

    Solved for the acceptance probabilities, dual averaging says that the sum of the first m is
    `m TARGET - (m + t_0) γ / sqrt(m) log(10 ε_0 / ε_m)`, the mean of the number of accepted proposals.
    """
    m, first = 59, 0.02
    sampler = Mala(steps=m + 1, step_size=first, warmup=m + 1, target=target)
    states = list(sampler.chain(square, normal(20_000, 3), rng(2)))
    accepted = sum(state.info["accepted"].double() for state in states[:m])
    reached = states[m].info["step_size"]
    expected = m * TARGET - (m + OFFSET) * GAMMA / math.sqrt(m) * (10 * first / reached).log()
    return float(z(accepted - expected).abs())


def test_step_sizes_in_the_warmup_follow_dual_averaging():
    assert path_z(TARGET) < 5


def test_the_test_of_the_step_sizes_detects_another_target():
    assert path_z(TARGET + 0.02) > 5


def acceptance_z(step_size: float, scale: float) -> float:
    """z against TARGET of the acceptance rate of one step size, from exact draws of N(0, scale² I) in 5 dimensions."""
    sampler = Mala(steps=1, step_size=step_size)
    (state,) = sampler.chain(lambda x: square(x / scale), scale * normal(100_000, 5, seed=3), rng(4))
    return float(z(state.info["accepted"].double() - TARGET))


def found_step_size(wrong: float, scale: float, target: float = TARGET) -> float:
    """The geometric mean of the step sizes that 500 warmups reach from a start `wrong` times too large."""
    sampler = Mala(steps=401, step_size=wrong * scale**2, warmup=400, target=target)
    *_, last = sampler.chain(lambda x: square(x / scale), scale * normal(500, 5), rng(5))
    return float(last.info["step_size"].log().mean().exp())


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("wrong", [0.01, 1.0, 100.0])
def test_a_warmup_reaches_the_target_on_every_scale(scale: float, wrong: float):
    found = found_step_size(wrong, scale)
    # The acceptance rate decreases with the step size, so that of the target is between these two.
    assert acceptance_z(found / 1.15, scale) > 5
    assert acceptance_z(found * 1.15, scale) < -5


def test_the_test_of_the_warmup_detects_another_target():
    assert acceptance_z(found_step_size(1.0, 1.0, TARGET + 0.1) * 1.15, 1.0) > -5
    assert acceptance_z(found_step_size(1.0, 1.0, TARGET - 0.1) / 1.15, 1.0) < 5


def test_wrong_step_sizes_accept_too_much_or_too_little():
    assert acceptance_z(0.01, 1.0) > 5
    assert acceptance_z(100.0, 1.0) < -5


def test_each_chain_of_a_batch_adapts_its_own_step_size():
    scales = torch.tensor([0.1, 1.0, 10.0], dtype=D)
    sampler = Mala(steps=401, warmup=400)
    *_, last = sampler.chain(lambda x: square(x / scales.unsqueeze(1)), scales.unsqueeze(1) * normal(3, 8), rng(6))
    ratios = last.info["step_size"] / scales**2
    assert float(ratios.max() / ratios.min()) < 10


def test_step_sizes_change_only_in_the_warmup():
    states = list(Mala(steps=12, step_size=0.3, warmup=5).chain(square, normal(4, 3), rng(7)))
    sizes = [state.info["step_size"] for state in states]
    changed = [not torch.equal(one, next_one) for one, next_one in pairwise(sizes)]
    assert sizes[0].tolist() == [0.3] * 4
    assert changed == [True] * 5 + [False] * 6


def test_the_step_size_after_the_warmup_is_the_averaged_one():
    states = list(Mala(steps=12, step_size=0.3, warmup=5).chain(square, normal(4, 3), rng(7)))
    *path, kept = [state.info["step_size"].log() for state in states[1:6]]
    longer = Mala(steps=6, step_size=0.3, warmup=6)
    *_, last = longer.chain(square, normal(4, 3), rng(7))
    average = path[0]
    for m, log_step in enumerate([*path[1:], last.info["step_size"].log()], start=2):
        average = m**-DECAY * log_step + (1 - m**-DECAY) * average
    torch.testing.assert_close(kept, average)


MEAN = torch.tensor([0.0, 3.0], dtype=D)
COVARIANCE = torch.tensor([[1.0, 0.75 * 2], [0.75 * 2, 4.0]], dtype=D)


class Skewed(Mala):
    """A mutant: proposals with large gradients are accepted slightly too often."""

    def correction(self, gradient: Tensor, gradient_end: Tensor, noise: Tensor, size: Tensor) -> Tensor:
        log_ratio = super().correction(gradient, gradient_end, noise, size)
        return log_ratio + 0.02 * (gradient_end.square() - gradient.square()).sum(1)


def long_z(kind: type[Mala]) -> float:
    """The largest |z| of mean, variances and covariance, averaged over time after the warmup, of 4000 chains."""
    precision = torch.linalg.inv(COVARIANCE)

    def energy(x: Tensor) -> Tensor:
        return ((x - MEAN) @ precision * (x - MEAN)).sum(1) / 2

    sampler = kind(steps=600, step_size=0.001, warmup=200)
    total = torch.zeros(4000, 5, dtype=D)
    for state in islice(sampler.chain(energy, torch.zeros(4000, 2, dtype=D), rng(8)), 350, None):
        offset = state.x - MEAN
        products = offset[:, [0, 1, 0]] * offset[:, [0, 1, 1]] - COVARIANCE[[0, 1, 0], [0, 1, 1]]
        total += torch.cat([offset, products], dim=1)
    return float(z(total / 250).abs().max())


def test_chains_sample_the_energy_after_a_warmup():
    assert long_z(Mala) < 5


def test_the_test_after_a_warmup_detects_a_wrong_ratio():
    assert long_z(Skewed) > 5
