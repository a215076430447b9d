"""Energies of points in the plane that are difficult for chains, with exact draws."""

import math
from abc import abstractmethod

import torch
from torch import Generator, Tensor, nn

from ebmkit import Energy, UsageError, check


class Centred(Energy):
    """An energy of points in the plane with one parameter, `centre` `(2,)`, which translates it.

    The centre is 0 at first; maximum likelihood can learn it.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        if shape != (2,):
            raise UsageError(f"shape must be (2,), for points in the plane, not {shape}")
        self.centre = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of points `(B, 2)`."""
        first, second = (x - self.centre).unbind(1)
        return self.at_origin(first, second)

    def draw(self, n: int, rng: Generator) -> Tensor:
        """`n` exact independent samples `(n, 2)`."""
        return self.centre.detach() + self.draw_at_origin(n, rng)

    @abstractmethod
    def at_origin(self, first: Tensor, second: Tensor) -> Tensor:
        """Energies `(B,)` of points with these coordinates `(B,)`, for the centre 0."""

    @abstractmethod
    def draw_at_origin(self, n: int, rng: Generator) -> Tensor:
        """`n` exact independent samples `(n, 2)`, for the centre 0."""


class Funnel(Centred):
    """Neal's funnel: v is `N(0, scale²)`, and u given v is `N(0, exp(v))`.

    `E(v, u) = v² / (2 scale²) + u² exp(-v) / 2 + v / 2`, for examples (v, u). Where v is low, the
    funnel is so narrow that no single step size suits both ends.

    Source: Neal, "Slice sampling", Annals of Statistics 31 (2003), section 8, with one u; there the scale is 3.

    Args:
        scale: Standard deviation of v.

    Raises:
        UsageError: if the scale is out of range, or the examples are not points in the plane.
    """

    def __init__(self, shape: tuple[int, ...], *, scale: float = 3.0) -> None:
        super().__init__(shape)
        check("scale", scale, above=0)
        self.scale = scale

    def at_origin(self, first: Tensor, second: Tensor) -> Tensor:
        """Energies `(B,)`; `first` is v and `second` is u."""
        return (first / self.scale).square() / 2 + second.square() * (-first).exp() / 2 + first / 2

    def draw_at_origin(self, n: int, rng: Generator) -> Tensor:
        """First v, then u given v."""
        noise = torch.randn(n, 2, generator=rng, dtype=self.centre.dtype, device=rng.device)
        v = self.scale * noise[:, 0]
        return torch.stack([v, (v / 2).exp() * noise[:, 1]], dim=1)


class Banana(Centred):
    """A Gaussian, bent upwards at its ends like a banana.

    `E(a, b) = a² / (2 scale²) + (b - bend (a² - scale²))² / (2 width²)`, for examples (a, b). The bend shifts
    b by a function of a, which preserves volumes: a is `N(0, scale²)`, and b given a is
    `N(bend (a² - scale²), width²)`. The mean is 0.

    Source: Haario, Saksman, Tamminen, "Adaptive proposal distribution for random walk Metropolis algorithm",
    Computational Statistics 14 (1999); the valley is that of Rosenbrock's function.

    Args:
        scale: Standard deviation of the first coordinate.
        bend: Strength of the shift of the second coordinate; 0 for a straight Gaussian.
        width: Standard deviation of the second coordinate around the bent line.

    Raises:
        UsageError: if a setting is out of range, or the examples are not points in the plane.
    """

    def __init__(self, shape: tuple[int, ...], *, scale: float = 0.5, bend: float = 1.0, width: float = 0.1) -> None:
        super().__init__(shape)
        check("scale", scale, above=0)
        check("bend", bend)
        check("width", width, above=0)
        self.scale, self.bend, self.width = scale, bend, width

    def at_origin(self, first: Tensor, second: Tensor) -> Tensor:
        """Energies `(B,)`; `first` is a and `second` is b."""
        return ((first / self.scale).square() + ((second - self.line(first)) / self.width).square()) / 2

    def draw_at_origin(self, n: int, rng: Generator) -> Tensor:
        """A straight Gaussian, then bent."""
        noise = torch.randn(n, 2, generator=rng, dtype=self.centre.dtype, device=rng.device)
        first = self.scale * noise[:, 0]
        return torch.stack([first, self.line(first) + self.width * noise[:, 1]], dim=1)

    def line(self, first: Tensor) -> Tensor:
        """Mean of the second coordinate given the first, `(B,)`."""
        return self.bend * (first.square() - self.scale**2)


class Ring(Centred):
    """A smooth ring, along which all points are equally likely.

    `E(x) = (|x|² - radius²)² / (8 radius² scale²)`: |x|² is `N(radius², (2 radius scale)²)`, truncated at 0,
    so that |x| has a standard deviation of about `scale`.

    Source: the sombrero potential of physics; the draws follow from polar coordinates.

    Args:
        radius: Distance of the lowest energy from the centre.
        scale: Standard deviation of the distance, if it is much smaller than the radius.

    Raises:
        UsageError: if a setting is out of range, or the examples are not points in the plane.
    """

    def __init__(self, shape: tuple[int, ...], *, radius: float = 0.75, scale: float = 0.05) -> None:
        super().__init__(shape)
        check("radius", radius, above=0)
        check("scale", scale, above=0)
        self.radius, self.scale = radius, scale

    def at_origin(self, first: Tensor, second: Tensor) -> Tensor:
        """Energies `(B,)` of points with these coordinates `(B,)`."""
        excess = first.square() + second.square() - self.radius**2
        return (excess / (2 * self.radius * self.scale)).square() / 2

    def draw_at_origin(self, n: int, rng: Generator) -> Tensor:
        """The squared distance by rejection of what is below 0, and a uniform angle."""
        squares = torch.empty(0, dtype=self.centre.dtype, device=rng.device)
        while len(squares) < n:
            drawn = torch.randn(2 * n, generator=rng, dtype=squares.dtype, device=rng.device)
            drawn = self.radius**2 + 2 * self.radius * self.scale * drawn
            squares = torch.cat([squares, drawn[drawn >= 0]])
        angle = 2 * math.pi * torch.rand(n, generator=rng, dtype=squares.dtype, device=rng.device)
        return squares[:n].sqrt().unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], dim=1)
