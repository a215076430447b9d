"""The diffusion in closed form: what it draws, what it learns from, and how its slow copy follows; with mutants."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ebmkit_latent import diffusion
from ebmkit_latent.damc import DAMC
from ebmkit_latent.denoiser import Denoiser
from ebmkit_latent.diffusion import LEAST, MOST, Diffusion, ReverseDiffusion, logsnr_at
from torch import Generator, Tensor, nn

from ebmkit import noise_like

MEAN, SPREAD = torch.tensor([0.7, -1.0]), torch.tensor([0.3, 1.5])  # of z_0, and its variances


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def levels(logsnr: Tensor) -> tuple[Tensor, Tensor]:
    """a and b of z_t = a z_0 + b N(0, I)."""
    a2 = 1 / (1 + torch.exp(-logsnr))
    return a2.sqrt(), (1 - a2).sqrt()


class Exact(SimpleNamespace):
    """The best estimate of the noise in z_t for z_0 ~ N(MEAN, SPREAD)."""

    def embeddings(self, x: Tensor | None, n: int, rng: Generator) -> None:
        return None

    def __call__(self, z: Tensor, logsnr: Tensor, embeddings: None) -> Tensor:
        a, b = levels(logsnr[:, None])
        return b * (z - a * MEAN) / (a**2 * SPREAD + b**2)


def recursion(steps: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of z_0 by ancestral sampling with the exact estimate, by q(z_s | z_t, z_0) of textbooks."""
    mean, variance = torch.zeros(2, dtype=torch.double), torch.ones(2, dtype=torch.double)
    times = torch.arange(steps, dtype=torch.double) / (steps - 1)
    for i in reversed(range(steps)):
        a, b = levels(logsnr_at(times[i]))
        slope = b / (a**2 * SPREAD + b**2)  # the estimate of the noise is slope (z - a MEAN)
        factor, shift = (1 - b * slope) / a, b * slope * MEAN  # of z_0 by z
        if i > 0:
            a_before, b_before = levels(logsnr_at(times[i - 1]))
            ratio = a / a_before
            added = b**2 - ratio**2 * b_before**2  # the variance of z_t given z_s, which is called large
            by_z, by_clean = ratio * b_before**2 / b**2, a_before * added / b**2
            mean = (by_z + by_clean * factor) * mean + by_clean * shift
            variance = (by_z + by_clean * factor) ** 2 * variance + added
        else:
            mean, variance = factor * mean + shift, factor**2 * variance
    return mean, torch.diag(variance)


def small(clean: Tensor, z: Tensor, now: Tensor, after: Tensor, rng: Generator) -> Tensor:
    """A mutant: the variance that is called small, that of z_s given z_t and z_0."""
    kept, rest = torch.exp(now - after), -torch.expm1(now - after)
    scale = (torch.sigmoid(after) / torch.sigmoid(now)).sqrt()
    mean = kept * scale * z + rest * torch.sigmoid(after).sqrt() * clean
    return mean + (rest * torch.sigmoid(-after)).sqrt() * noise_like(z, rng)


def ancestral_z(worst_z: Any, steps: int, theory: int | None = None) -> float:
    sampler = ReverseDiffusion(diffusion=Exact(), steps=steps)
    z = sampler.sample(lambda z: z.sum(1), torch.randn(20_000, 2, generator=rng(1), dtype=torch.double), rng(2))
    return worst_z(z, *recursion(theory or steps))


@pytest.mark.parametrize("steps", [5, 100])
def test_ancestral_sampling_with_the_exact_estimate_is_the_gaussian_of_its_recursion(worst_z, monkeypatch, steps):
    assert ancestral_z(worst_z, steps) < 5
    monkeypatch.setattr(diffusion, "drawn", small)
    assert ancestral_z(worst_z, steps) > 5


def test_the_schedule_goes_from_little_noise_to_almost_none_of_z():
    ends = logsnr_at(torch.tensor([0.0, 1.0], dtype=torch.double))
    torch.testing.assert_close(ends, torch.tensor([MOST, LEAST], dtype=torch.double))
    between = logsnr_at(torch.linspace(0, 1, 50))
    assert bool((between.diff() < 0).all())


def test_the_loss_is_that_of_the_noise_at_uniform_times(worst_z):
    """With the exact estimate its mean is half the sum of the variances that the estimate leaves, over all times."""
    times = (torch.arange(20_000, dtype=torch.double) + 0.5) / 20_000
    a, b = levels(logsnr_at(times)[:, None])
    due = float((1 - b**2 / (a**2 * SPREAD + b**2)).sum(1).mean() / 2)

    class Whole(Diffusion):
        def embeddings(self, x: Tensor | None, n: int, rng: Generator) -> Tensor:
            return torch.zeros(n, 1)

        def forward(self, z: Tensor, logsnr: Tensor, embeddings: Tensor) -> Tensor:
            return Exact()(z, logsnr, None)

    found = []
    for seed in range(40):
        z = MEAN + SPREAD.sqrt() * torch.randn(1000, 2, generator=rng(seed))
        found.append(Whole(nn.Identity(), nn.Identity()).loss(z, z, 0.2, rng(100 + seed)))
    losses = torch.stack(found).double()
    error = float(losses.std()) / math.sqrt(len(losses))
    assert abs(float(losses.mean()) - due) < 5 * error
    assert abs(float(losses.mean()) - 2 * due) > 5 * error


@pytest.mark.parametrize(("unconditional", "still"), [(0.0, ["without"]), (1.0, ["encoder"]), (0.5, [])])
def test_a_share_of_0_or_1_leaves_one_branch_without_gradient(unconditional, still):
    torch.manual_seed(0)
    model = Diffusion(nn.Linear(4, 6), Denoiser(3, 6, 8))
    model.loss(torch.randn(32, 3), torch.randn(32, 4), unconditional, rng()).backward()
    branches = {"encoder": model.encoder, "without": model.denoiser.without}
    moved = {name: any(bool(one.grad.any()) for one in branch.parameters()) for name, branch in branches.items()}
    assert [name for name, any_moved in moved.items() if not any_moved] == still


def test_the_slow_copy_is_the_weighted_sum_of_all_weights_before(problem):
    rate = 0.25
    method = problem.method(DAMC, steps=1, s=0.1, n=4, embedding=2, width=2, target_rate=rate, target_every=3)
    weight, slow = method.encoder.weight, method.target.encoder.weight
    first, seen = weight.detach().clone(), []
    method.fit_diffusion = lambda x, z: weight.data.normal_(generator=method.rng).sum() * 0  # type: ignore[method-assign]
    for _ in range(9):
        method.update(problem.x.repeat(4, 1))
        seen.append(weight.detach().clone())
    due = (1 - rate) ** 3 * first + rate * sum((1 - rate) ** (2 - k) * seen[3 * k + 2] for k in range(3))
    torch.testing.assert_close(slow, due)
    assert not torch.allclose(
        slow, (1 - rate) ** 9 * first + rate * sum((1 - rate) ** (8 - k) * seen[k] for k in range(9))
    )


def test_the_slow_copy_has_the_buffers_of_the_encoder(problem):
    """Running statistics and singular vectors belong to the weights; those of the beginning would stay for ever."""
    method = problem.method(DAMC, steps=1, s=0.1, n=4, embedding=2, width=2, target_every=2)
    for encoder in (method.encoder, method.target.encoder):
        encoder.register_buffer("mean", torch.zeros(2))
    for due in (0.0, 3.0):
        method.encoder.mean.fill_(3)
        method.update(problem.x.repeat(4, 1))
        assert method.target.encoder.mean.tolist() == [due, due]


def test_the_diffusion_learns_a_gaussian_that_depends_on_x(worst_z):
    """Trained on z = x + 0.3 N(0, 1) it draws z near x, and without x draws of both."""
    torch.manual_seed(0)
    model = Diffusion(nn.Linear(1, 8), Denoiser(1, 8, 16))
    optimizer, generator = torch.optim.Adam(model.parameters(), lr=5e-3), rng(3)
    for _ in range(200):
        x = torch.randint(2, (128, 1), generator=generator).float() * 2 - 1
        optimizer.zero_grad()
        model.loss(x + 0.3 * noise_like(x, generator), x, 0.2, generator).backward()
        optimizer.step()
    start, x = torch.randn(1000, 1, generator=rng(4)), torch.ones(1000, 1)
    given = ReverseDiffusion(diffusion=model, x=x, steps=25).sample(model, start, rng(5))
    free = ReverseDiffusion(diffusion=model, steps=25).sample(model, start, rng(5))
    assert abs(float(given.mean()) - 1) < 0.2
    assert float(given.std()) < 0.5
    assert 0.3 < float((free > 0).float().mean()) < 0.7
    assert 0.8 < float(free.abs().mean()) < 1.2
