"""Glow: a flow for images."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pixel_shuffle, pixel_unshuffle

from ebmkit import UsageError, check
from ebmkit_neural_transport.coupling import AffineCoupling, zeroed
from ebmkit_neural_transport.flow import Flow


class Mixing(nn.Module):
    """An invertible 1x1 convolution: `y = P L U z + shift` at each pixel, with one bias for each channel.

    P is a fixed permutation, L is lower triangular with ones on its diagonal, and U is upper triangular; P L U is a
    random rotation at first. The logarithms of the diagonal of U are bounded. With them and the shift, the layer is
    also the one that Glow calls actnorm.

    Source: Kingma & Dhariwal, NeurIPS 2018 (Glow), sections 3.1 and 3.2, equation 10.

    Args:
        channels: How many channels there are.
        bound: Largest logarithm of a scale.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int, bound: float) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64))
        permutation, lower, upper = (part.float() for part in torch.linalg.lu(rotation))
        diagonal = upper.diag()
        self.bound = bound
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", diagonal.sign())
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))
        ratio = (diagonal.abs().log() / bound).clamp(-0.99, 0.99)
        self.logarithm = nn.Parameter(bound * ratio.atanh())
        self.shift = nn.Parameter(torch.zeros(channels))

    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """L, U and the logarithms of the absolute values of its diagonal."""
        logarithm = self.bound * torch.tanh(self.logarithm / self.bound)
        lower = self.lower.tril(-1) + torch.eye(len(self.shift)).to(self.lower)
        return lower, self.upper.triu(1) + (self.sign * logarithm.exp()).diag(), logarithm

    def push(self, z: Tensor) -> Tensor:
        """The convolution."""
        lower, upper, _ = self.factors()
        return conv2d(z, (self.permutation @ lower @ upper)[:, :, None, None], self.shift)

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Its inverse, and the log determinant of that, `(B,)`."""
        lower, upper, logarithm = self.factors()
        half = torch.linalg.solve_triangular(lower, self.permutation.T, upper=False, unitriangular=True)
        weight = torch.linalg.solve_triangular(upper, half, upper=True)
        z = conv2d(y - self.shift[:, None, None], weight[:, :, None, None])
        return z, -(logarithm.sum() * y.shape[2] * y.shape[3]).expand(len(y))


def level(channels: int, steps: int, width: int, bound: float) -> nn.ModuleList:
    """The steps at one size of the image: a mixing of the channels, then a coupling, each time."""
    kept = channels - channels // 2
    made = nn.ModuleList()
    for _ in range(steps):
        network = nn.Sequential(
            nn.Conv2d(kept, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 1),
            nn.SiLU(),
            zeroed(nn.Conv2d(width, 2 * (channels - kept), 3, padding=1)),
        )
        # A coupling comes first on the way from noise to images, so that a mixing comes last.
        made.extend([AffineCoupling(network, kept, bound), Mixing(channels, bound)])
    return made


class Glow(Flow):
    """A flow for images: couplings by convolutions, mixed by invertible 1x1 convolutions, at several sizes.

    From images to noise, each level squeezes 2x2 pixels into channels and makes its steps; then the second half of the
    channels, which the last coupling has mapped given the first half, is split off as noise, and the next level goes on
    with the first half. Scales are bounded, so that no weights can make the flow explode.

    Source: Kingma & Dhariwal, NeurIPS 2018; the default values are ours, for small images.

    Args:
        levels: How many sizes there are; the side of images must be a multiple of 2 to that power.
        steps: Steps at each size.
        width: Maps of the hidden layers of each coupling.
        bound: Largest logarithm of the scale of one coupling or mixing.

    Raises:
        UsageError: if a setting is out of range, or images do not fit.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        levels: int = 2,
        steps: int = 4,
        width: int = 32,
        bound: float = 2.0,
    ) -> None:
        super().__init__(inputs, outputs)
        check("levels", levels, at_least=1)
        check("steps", steps, at_least=1)
        check("width", width, at_least=1)
        check("bound", bound, above=0)
        if len(self.shape) != 3 or any(side % 2**levels for side in self.shape[1:]):
            raise UsageError(
                f"glow of {levels} levels needs images with sides that are multiples of {2**levels}, not examples of "
                f"shape {self.shape}; use fewer levels, or coupling-flow"
            )
        channels = [self.shape[0] * 4 * 2**index for index in range(levels)]
        self.levels = nn.ModuleList(level(one, steps, width, bound) for one in channels)

    def push(self, z: Tensor) -> Tensor:
        """From the smallest size to the largest."""
        *split, y = self.parts(z)
        for index in reversed(range(len(self.levels))):
            if index < len(self.levels) - 1:
                y = torch.cat([y, split[index]], 1)
            for step in self.levels[index]:
                y = step.push(y)
            y = pixel_shuffle(y, 2)
        return y

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """From the largest size to the smallest."""
        total, split = y.new_zeros(len(y)), []
        for index, steps in enumerate(self.levels):
            y = pixel_unshuffle(y, 2)
            for step in reversed(steps):
                y, logarithm = step.pull(y)
                total = total + logarithm
            if index < len(self.levels) - 1:
                y, part = y.chunk(2, 1)
                split.append(part)
        return torch.cat([part.flatten(1) for part in [*split, y]], 1).view(-1, *self.shape), total

    def parts(self, z: Tensor) -> list[Tensor]:
        """The noise of each level, from the largest size to the smallest, `(B, channels, height, width)`."""
        channels, height, width = self.shape
        last = len(self.levels) - 1
        shapes = [
            (channels * 2 ** (index + (1 if index < last else 2)), height >> (index + 1), width >> (index + 1))
            for index in range(last + 1)
        ]
        pieces = torch.split(z.flatten(1), [math.prod(shape) for shape in shapes], 1)
        return [piece.reshape(-1, *shape) for piece, shape in zip(pieces, shapes, strict=True)]
