"""The network of the latent diffusion: which noise is in z, given a time and an embedding of x."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import leaky_relu

from ebmkit import check

TIME = 128  # length of the embedding of a time
UNITS = 128  # of the network of the embedding without x


class Gated(nn.Module):
    """A linear layer with a gate, a shift and a second linear layer around it; the context sets gate and shift.

    `A z · sigmoid(gate(c)) + shift(c) + B z`, where c is a linear layer of the context between two SiLUs.

    Args:
        before: Units of the inputs.
        after: Units of the outputs.
        context: Length of the context.
    """

    def __init__(self, before: int, after: int, context: int) -> None:
        super().__init__()
        self.layer, self.skip = nn.Linear(before, after), nn.Linear(before, after)
        self.context = nn.Sequential(nn.SiLU(), nn.Linear(context, after), nn.SiLU())
        self.gate, self.shift = nn.Linear(after, after), nn.Linear(after, after, bias=False)

    def forward(self, z: Tensor, context: Tensor) -> Tensor:
        """Outputs `(B, after)` for inputs `(B, before)` and contexts `(B, context)`."""
        c = self.context(context)
        found: Tensor = self.layer(z) * torch.sigmoid(self.gate(c)) + self.shift(c) + self.skip(z)
        return found


class Denoiser(nn.Module):
    """The noise in z at a time, given an embedding of x, or of Gaussian noise where x is not given.

    A fully connected network in the form of a U with gated layers of `width`, twice and twice the width, a middle one,
    and back, joined with what the first half computed. Its input is z with learned Fourier features of it; its output
    is added to z.

    Source: Yu et al., NeurIPS 2023, the network of the released code.

    Args:
        latent: Length of z.
        embedding: Length of the embedding of x.
        width: Units of the outer layers; the inner ones have twice as many.

    Raises:
        UsageError: if `width` is below 1.
    """

    def __init__(self, latent: int, embedding: int, width: int) -> None:
        super().__init__()
        check("width", width, at_least=1)
        waves, context, wide = max(1, latent // 2), embedding + TIME, 2 * width
        self.latent = latent
        self.frequencies = nn.Parameter(torch.randn(latent, waves))
        self.without = nn.Sequential(nn.Linear(latent, UNITS), nn.LeakyReLU(), nn.Linear(UNITS, embedding))
        self.time = nn.Sequential(nn.Linear(TIME, TIME), nn.SiLU(), nn.Linear(TIME, TIME))
        down = ((2 * waves + latent, width), (width, wide), (wide, wide))
        up = ((2 * wide, wide), (2 * wide, width), (2 * width, latent))
        self.down = nn.ModuleList(Gated(before, after, context) for before, after in down)
        self.middle = Gated(wide, wide, context)
        self.up = nn.ModuleList(Gated(before, after, context) for before, after in up)

    def nothing(self, n: int, rng: Generator) -> Tensor:
        """The embeddings `(n, embedding)` that stand for no x: of Gaussian noise."""
        found: Tensor = self.without(torch.randn(n, self.latent, generator=rng, device=rng.device))
        return found

    def forward(self, z: Tensor, logsnr: Tensor, embedding: Tensor) -> Tensor:
        """The noise `(B, latent)` in z at logarithms of the signal-to-noise ratio `(B,)`, given `(B, embedding)`."""
        context = torch.cat([self.time(sinusoids(logsnr)), embedding], 1)
        angles = 2 * math.pi * (z @ self.frequencies)
        h: Tensor = torch.cat([angles.sin(), angles.cos(), z], 1)
        kept: list[Tensor] = []
        for layer in self.down:
            h = layer(h, context)
            kept.append(h)
            h = leaky_relu(h)
        h = self.middle(h, context)
        for layer in self.up:
            h = layer(leaky_relu(torch.cat([h, kept.pop()], 1)), context)
        return z + h


def sinusoids(logsnr: Tensor) -> Tensor:
    """Sines and cosines `(B, TIME)` of the time in [0, 1] that the cosine schedule gives a logarithm of the ratio."""
    time = torch.arctan(torch.exp(-logsnr / 2)) / (math.pi / 2)
    half = TIME // 2
    rates = torch.exp(torch.arange(half, device=logsnr.device) * (-math.log(10000) / (half - 1)))
    waves = 1000 * time[:, None] * rates
    return torch.cat([waves.sin(), waves.cos()], 1)
