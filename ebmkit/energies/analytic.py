"""Energies with known moments and exact samples: for tests and for teaching."""

import math

import torch
from torch import Generator, Tensor, nn

from ebmkit.errors import UsageError, check
from ebmkit.interfaces import Energy


class GaussianEnergy(Energy):
    """`E(x) = (x - mean)ᵀ Λ (x - mean) / 2`, x flattened: exp(-E) is a Gaussian with covariance `Λ⁻¹`.

    The mean is a parameter, which maximum likelihood can move. Both are stored as float64 if one is given as float64.

    Source: textbook; short-run Langevin on this energy has a distribution in closed form.

    Args:
        mean: Mean of every element; in Python also a tensor of the shape of an example.
        precision: Λ: one value, or one for each element; in Python also a tensor `(d,)` or a full matrix `(d, d)`.

    Raises:
        UsageError: if a shape does not fit the examples, or the precision is not symmetric and positive definite.
    """

    precision: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        mean: float | Tensor = 0.0,
        precision: float | tuple[float, ...] | Tensor = 1.0,
    ) -> None:
        super().__init__()
        given = [value.dtype for value in (mean, precision) if isinstance(value, Tensor)]
        dtype = torch.float64 if torch.float64 in given else torch.float32
        start = torch.as_tensor(mean, dtype=dtype).detach()
        if start.shape not in ((), shape) or not bool(start.isfinite().all()):
            raise UsageError(f"mean must be finite, one value or a tensor of shape {shape}; not {_brief(start)}")
        self.mean = nn.Parameter(start.expand(shape).clone())
        self.register_buffer("precision", torch.as_tensor(precision, dtype=dtype).detach().clone())
        _check_precision(self.precision, math.prod(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of examples `(B, *shape)`."""
        offset = (x - self.mean).flatten(1)
        precision = self.precision.to(offset.dtype)
        pulled = offset @ precision if precision.ndim == 2 else precision * offset
        return (offset * pulled).sum(1) / 2

    @property
    def covariance(self) -> Tensor:
        """Covariance `(d, d)` of flattened examples."""
        full = self.precision.ndim == 2
        return self.precision.inverse() if full else self.precision.reciprocal().expand(self.mean.numel()).diag()

    def log_partition(self) -> Tensor:
        """Log of the partition function ∫ exp(-E), a scalar."""
        return (self.mean.numel() * math.log(2 * math.pi) + torch.logdet(self.covariance)) / 2

    def draw(self, n: int, rng: Generator) -> Tensor:
        """`n` exact independent samples `(n, *shape)`."""
        mean = self.mean.detach()
        noise = torch.randn(n, mean.numel(), generator=rng, dtype=mean.dtype, device=rng.device)
        if self.precision.ndim == 2:
            root = torch.linalg.cholesky(self.precision)
            noise = torch.linalg.solve_triangular(root.T, noise.T, upper=True).T
        else:
            noise = noise / self.precision.sqrt()
        return mean + noise.reshape(n, *mean.shape)


class Mixture(Energy):
    """`E(x) = -log Σᵢ exp(-|x - mᵢ|² / (2 scale²))`: equally likely Gaussians around the centres mᵢ.

    The centres are a parameter; by default they are evenly spaced on a ring in the first two elements of x.

    Source: the default is the ring of eight Gaussians of Nijkamp, Hill, Han, Zhu, Wu, AAAI 2020 (its toy data).

    Args:
        modes: How many centres are on the ring.
        radius: Radius of the ring.
        scale: Standard deviation of each element of x around its centre.
        centres: In Python, a tensor `(modes, *shape)` of centres instead of the ring.

    Raises:
        UsageError: if a setting is outside its range, or the centres do not fit the examples.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        modes: int = 8,
        radius: float = 1.0,
        scale: float = 0.15,
        centres: Tensor | None = None,
    ) -> None:
        super().__init__()
        check("modes", modes, at_least=1)
        check("radius", radius, at_least=0)
        check("scale", scale, above=0)
        self.scale = scale
        if centres is None:
            centres = _ring(shape, modes, radius)
        if centres.shape[1:] != shape or not len(centres) or not bool(centres.isfinite().all()):
            raise UsageError(f"centres must be finite, a tensor of shape (modes, *{shape}); not {_brief(centres)}")
        self.centres = nn.Parameter(centres.detach().clone().to(torch.promote_types(centres.dtype, torch.float32)))

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of examples `(B, *shape)`."""
        offset = x.flatten(1).unsqueeze(1) - self.centres.flatten(1)
        return -torch.logsumexp(-offset.square().sum(2) / (2 * self.scale**2), dim=1)

    @property
    def mean(self) -> Tensor:
        """Mean of an example, of its shape."""
        return self.centres.detach().mean(0)

    @property
    def covariance(self) -> Tensor:
        """Covariance `(d, d)` of flattened examples."""
        offset = (self.centres.detach() - self.mean).flatten(1)
        within = self.scale**2 * torch.eye(offset.shape[1], dtype=offset.dtype, device=offset.device)
        return within + offset.T @ offset / len(offset)

    def draw(self, n: int, rng: Generator) -> Tensor:
        """`n` exact independent samples `(n, *shape)`."""
        centres = self.centres.detach()[torch.randint(len(self.centres), (n,), generator=rng, device=rng.device)]
        noise = torch.randn(centres.shape, generator=rng, dtype=centres.dtype, device=rng.device)
        return centres + self.scale * noise


class DoubleWell(Energy):
    """`E(x) = Σᵢ height ((xᵢ / separation)² - 1)²`: every element has two wells, independently of the others.

    Source: the quartic double well of statistical physics, one for each element.

    Args:
        height: Energy at the top between the two wells, whose energy is 0.
        separation: Distance of each of the two wells from 0.

    Raises:
        UsageError: if a setting is outside its range.
    """

    def __init__(self, shape: tuple[int, ...], *, height: float = 1.0, separation: float = 1.0) -> None:
        super().__init__()
        check("height", height, above=0)
        check("separation", separation, above=0)
        self.shape, self.height, self.separation = shape, height, separation
        self.mean = torch.zeros(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of examples `(B, *shape)`."""
        return self.height * ((x / self.separation).square() - 1).square().flatten(1).sum(1)

    @property
    def covariance(self) -> Tensor:
        """Covariance `(d, d)` of flattened examples, by the trapezoidal rule in double precision."""
        # Beyond these ends the density is below exp(-750), which is 0 in double precision.
        reach = math.sqrt(750 / self.height)
        u = torch.linspace(math.sqrt(max(0.0, 1 - reach)), math.sqrt(1 + reach), 20_001, dtype=torch.float64)
        density = torch.exp(-self.height * (u.square() - 1).square())
        variance = self.separation**2 * torch.trapezoid(u.square() * density, u) / torch.trapezoid(density, u)
        return variance * torch.eye(math.prod(self.shape), dtype=torch.float64)

    def draw(self, n: int, rng: Generator) -> Tensor:
        """`n` exact independent samples `(n, *shape)`, by rejection from Gaussians around the wells."""
        # With u = |x| / separation, (u² - 1)² >= (u - 1)²: the Gaussian lies above the density.
        count, drawn = n * math.prod(self.shape), torch.empty(0, device=rng.device)
        while len(drawn) < count:
            u = 1 + torch.randn(2 * count, generator=rng, device=rng.device) / math.sqrt(2 * self.height)
            uniform, side = torch.rand(2, 2 * count, generator=rng, device=rng.device)
            excess = self.height * ((u.square() - 1).square() - (u - 1).square())
            keep = (u >= 0) & (uniform < torch.exp(-excess))
            drawn = torch.cat([drawn, u.copysign(side - 0.5)[keep]])
        return self.separation * drawn[:count].reshape(n, *self.shape)


def _brief(given: Tensor) -> str:
    """A tensor in an error: its shape, or its only value."""
    return f"values of shape {tuple(given.shape)}" if given.ndim else f"{given.item()}"


def _ring(shape: tuple[int, ...], modes: int, radius: float) -> Tensor:
    """Centres `(modes, *shape)`, evenly spaced on a circle in the first two elements."""
    if math.prod(shape) < 2:
        raise UsageError(f"mixture has its modes on a ring: examples need 2 elements or more, not shape {shape}")
    angles = 2 * math.pi * torch.arange(modes, dtype=torch.float64) / modes
    centres = torch.zeros(modes, math.prod(shape))
    centres[:, 0], centres[:, 1] = radius * angles.cos(), radius * angles.sin()
    return centres.reshape(modes, *shape)


def _check_precision(precision: Tensor, d: int) -> None:
    """Refuse a precision of the wrong shape, or one that is not positive definite."""
    if precision.shape not in ((), (d,), (d, d)):
        raise UsageError(f"precision must be 1, {d} or {d}x{d} values, not {_brief(precision)}")
    if precision.ndim == 2:
        valid = torch.allclose(precision, precision.T) and not int(torch.linalg.cholesky_ex(precision).info)
    else:
        valid = bool((precision > 0).all())
    if not valid or not bool(precision.isfinite().all()):
        raise UsageError("precision must be finite and positive; a matrix must be symmetric and positive definite")
