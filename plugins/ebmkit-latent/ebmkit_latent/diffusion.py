"""A diffusion of z, given x or without x: what it minimises, and how it draws, as a sampler from z_T to z_0."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from ebmkit import EnergyFn, Promises, Sampler, State, check, noise_like, per_example

LEAST, MOST = -5.1, 9.8  # logarithms of the signal-to-noise ratio at the times 1 and 0, as in the released code


def logsnr_at(time: Tensor) -> Tensor:
    """The cosine schedule: the logarithm of the signal-to-noise ratio at times in [0, 1], from MOST down to LEAST."""
    first, last = (math.atan(math.exp(-ratio / 2)) for ratio in (MOST, LEAST))
    return -2 * torch.log(torch.tan(first + (last - first) * time))


class Diffusion(nn.Module):
    """Q(z | x), and Q(z) where x is not given.

    z_t = a z_0 + b N(0, I), where a² = sigmoid(λ), b² = sigmoid(-λ), and λ is the logarithm of the signal-to-noise
    ratio at t. The denoiser estimates the noise in z_t.

    Source: Yu et al., NeurIPS 2023.

    Args:
        encoder: Embeds examples, `(B, *shape) -> (B, embedding)`.
        denoiser: A `Denoiser`.
    """

    def __init__(self, encoder: nn.Module, denoiser: nn.Module) -> None:
        super().__init__()
        self.encoder, self.denoiser = encoder, denoiser

    def embeddings(self, x: Tensor | None, n: int, rng: Generator) -> Tensor:
        """The embeddings `(n, embedding)` of examples `(n, *shape)`, or of none."""
        found: Tensor = self.denoiser.nothing(n, rng) if x is None else self.encoder(x)  # type: ignore[operator]
        return found

    def forward(self, z: Tensor, logsnr: Tensor, embeddings: Tensor) -> Tensor:
        """The noise `(B, d)` in z `(B, d)` at ratios with the logarithms `(B,)`."""
        found: Tensor = self.denoiser(z, logsnr, embeddings)
        return found

    def loss(self, z: Tensor, x: Tensor, unconditional: float, rng: Generator) -> Tensor:
        """Half the mean squared error of the noise, at times that are drawn uniformly.

        Args:
            z: What Q learns to draw, `(B, d)`.
            x: The examples that it is given for, `(B, *shape)`.
            unconditional: The probability, for each example, that Q is given none.
            rng: Draws the noise, the times, and which examples are left out.
        """
        without = torch.rand(len(z), 1, generator=rng, device=z.device) < unconditional
        embeddings = torch.where(without, self.embeddings(None, len(z), rng), self.embeddings(x, len(z), rng))
        logsnr = logsnr_at(torch.rand(len(z), generator=rng, device=z.device))
        noise, ratio = noise_like(z, rng), per_example(z, logsnr)
        mixed = torch.sigmoid(ratio).sqrt() * z + torch.sigmoid(-ratio).sqrt() * noise
        error: Tensor = self(mixed, logsnr, embeddings) - noise
        return error.square().sum(1).mean() / 2


@dataclass(frozen=True, kw_only=True)
class ReverseDiffusion(Sampler):
    """Ancestral sampling: a chain from z_T ~ N(0, I) to z_0, which follows no energy.

    From the last time to the first, the noise in z is estimated, and z at the time before is drawn:

        clean = (z - b noise) / a
        z' = r a'/a z + (1 - r) a' clean + sqrt(1 - r) b N(0, I)

    with a' at the time before and r = exp(λ - λ'): the mean of z' given z and the clean z, and the variance that is
    called large, that of z given z'. The last step gives the clean z.

    Source: Ho, Jain, Abbeel, NeurIPS 2020, in the form of Kingma et al., NeurIPS 2021; the number of steps, the
    schedule and the variance are those of the released code of Yu et al., NeurIPS 2023.

    Args:
        diffusion: Gives `embeddings(x, n, rng)`, and the noise in z.
        x: The examples `(B, *shape)` that the chains are given; None draws without.
        steps: T, how many steps a chain takes.
    """

    diffusion: Diffusion
    x: Tensor | None = None
    steps: int = 100

    def __post_init__(self) -> None:
        check("steps", self.steps, at_least=2)

    @property
    def promises(self) -> Promises:
        """No gradients of an energy, and no invariant distribution."""
        return Promises(gradients=0)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield z `(B, d)` after each step; the energy is not used."""
        z = x
        with torch.set_grad_enabled(z.requires_grad):
            embeddings = self.diffusion.embeddings(self.x, len(z), rng)
        times = torch.linspace(0, 1, self.steps, dtype=z.dtype, device=z.device)
        ratios = logsnr_at(times).flip(0)
        for now, after in zip(ratios, [*ratios[1:], None], strict=True):
            with torch.set_grad_enabled(z.requires_grad):
                clean = self.clean(z, now, embeddings)
                z = clean if after is None else drawn(clean, z, now, after, rng)
            yield State(z, {})

    def clean(self, z: Tensor, logsnr: Tensor, embeddings: Tensor) -> Tensor:
        """The estimate of z_0 from z at a time."""
        noise: Tensor = self.diffusion(z, logsnr.expand(len(z)), embeddings)
        return (z - torch.sigmoid(-logsnr).sqrt() * noise) / torch.sigmoid(logsnr).sqrt()


def drawn(clean: Tensor, z: Tensor, now: Tensor, after: Tensor, rng: Generator) -> Tensor:
    """A draw of z at the time before, given its estimate without noise; `now` and `after` are logarithms of the ratio.

    See `ReverseDiffusion`.
    """
    kept, rest = torch.exp(now - after), -torch.expm1(now - after)
    scale = (torch.sigmoid(after) / torch.sigmoid(now)).sqrt()
    mean = kept * scale * z + rest * torch.sigmoid(after).sqrt() * clean
    return mean + (rest * torch.sigmoid(-now)).sqrt() * noise_like(z, rng)
