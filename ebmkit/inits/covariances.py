"""Three forms of the covariance of a Gaussian: how each is estimated from examples, stored, and drawn from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from ebmkit.inits.chosen import ChosenExamples

# Of the randomised subspace iteration: more directions than are kept, and passes over the examples.
OVERSAMPLING, PASSES = 10, 3


class Covariance(Protocol):
    """A form of `scale * C + ridge * I`, where C is estimated from examples."""

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the tensors that a draw needs, by name."""

    def fit(self, examples: ChosenExamples, scale: float, ridge: float) -> dict[str, Tensor]:
        """The tensors that a draw needs, by name, in float64."""

    def draw(self, fitted: Mapping[str, Tensor], n: int, rng: Generator) -> Tensor:
        """`n` draws `(n, *shape)` of mean 0, from what `fit` returned."""


@dataclass(frozen=True)
class Full(Covariance):
    """C is the covariance of all pairs of elements: d² values for d elements.

    A draw is L z, where L Lᵀ = scale * C + ridge * I and z ~ N(0, I).
    """

    shape: tuple[int, ...]

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """L, `(d, d)`."""
        d = math.prod(self.shape)
        return {"factor": (d, d)}

    def fit(self, examples: ChosenExamples, scale: float, ridge: float) -> dict[str, Tensor]:
        """One pass over the examples after that of their mean."""
        d = math.prod(self.shape)
        scatter = torch.zeros(d, d, dtype=torch.float64)
        for batch in examples.deviations():
            scatter.addmm_(batch.flatten(1).T, batch.flatten(1))
        covariance = scatter * (scale / examples.degrees_of_freedom)
        covariance.diagonal().add_(ridge)
        return {"factor": square_root(covariance)}

    def draw(self, fitted: Mapping[str, Tensor], n: int, rng: Generator) -> Tensor:
        """One product with L."""
        z = torch.randn(n, math.prod(self.shape), generator=rng, dtype=torch.float32, device=rng.device)
        return (z @ fitted["factor"].T).view(n, *self.shape)


@dataclass(frozen=True)
class LowRank(Covariance):
    """C has the r leading principal components of the examples, and the mean variance of the others in all others.

    C = U diag(λ) Uᵀ + σ² (I - U Uᵀ), where σ² is such that the total variance is that of the examples. U and λ are
    found by randomised subspace iteration: no d x d matrix is made.

    Source: Tipping & Bishop, "Probabilistic principal component analysis", 1999, equation 8; Halko, Martinsson &
    Tropp, 2011, algorithm 4.4.
    """

    shape: tuple[int, ...]
    rank: int

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """U diag((scale (λ - σ²))^½), `(d, r)`, and the standard deviation of the rest, (scale σ² + ridge)^½."""
        d = math.prod(self.shape)
        return {"factor": (d, min(self.rank, d)), "rest": ()}

    def fit(self, examples: ChosenExamples, scale: float, ridge: float) -> dict[str, Tensor]:
        """`PASSES` + 1 passes over the examples after that of their mean."""
        d, kept = self.sizes["factor"]
        width = min(kept + OVERSAMPLING, d)
        basis = torch.randn(d, width, generator=Generator().manual_seed(0), dtype=torch.float64)
        for _ in range(PASSES):
            image = torch.zeros(d, width, dtype=torch.float64)
            for batch in examples.deviations():
                image.addmm_(batch.flatten(1).T, batch.flatten(1) @ basis)
            basis = torch.linalg.qr(image).Q
        within, total = torch.zeros(width, width, dtype=torch.float64), 0.0
        for batch in examples.deviations():
            projected = batch.flatten(1) @ basis
            within.addmm_(projected.T, projected)
            total += float(batch.square().sum())
        values, vectors = torch.linalg.eigh(within / examples.degrees_of_freedom)
        values, components = values[-kept:].clamp(min=0), basis @ vectors[:, -kept:]
        left = max(total / examples.degrees_of_freedom - float(values.sum()), 0.0)
        variance = left / (d - kept) if d > kept else 0.0
        factor = components * (scale * (values - variance).clamp(min=0)).sqrt()
        return {"factor": factor, "rest": torch.tensor(scale * variance + ridge, dtype=torch.float64).sqrt()}

    def draw(self, fitted: Mapping[str, Tensor], n: int, rng: Generator) -> Tensor:
        """One product with a factor of r columns, and white noise for the rest."""
        factor = fitted["factor"]
        z = torch.randn(n, factor.shape[1], generator=rng, dtype=torch.float32, device=rng.device)
        white = torch.randn(n, len(factor), generator=rng, dtype=torch.float32, device=rng.device)
        return (z @ factor.T + fitted["rest"] * white).view(n, *self.shape)


@dataclass(frozen=True)
class Fourier(Covariance):
    """C is stationary: the covariance of two pixels depends on their distance only, on an image that wraps around.

    Such a C is block diagonal in the two-dimensional Fourier basis. For each frequency k it has one Hermitian matrix
    between the channels, S(k) = mean of F(k) F(k)*, where F is the unitary transform of the deviations. A draw is the
    inverse transform of R(k) Z(k), where R R = scale * S + ridge * I and Z is the transform of white noise.

    Source: Field, "Relations between the statistics of natural images and the response properties of cortical cells",
    1987: the power spectrum of natural images.
    """

    shape: tuple[int, ...]

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """R as real and imaginary parts, `(height, width // 2 + 1, channels, channels, 2)`."""
        channels, height, width = self.shape
        return {"factor": (height, width // 2 + 1, channels, channels, 2)}

    def fit(self, examples: ChosenExamples, scale: float, ridge: float) -> dict[str, Tensor]:
        """One pass over the examples after that of their mean."""
        channels = self.shape[0]
        spectrum = torch.zeros(*self.sizes["factor"][:-1], dtype=torch.complex128)
        for batch in examples.deviations():
            waves = torch.fft.rfft2(batch, norm="ortho")
            spectrum += torch.einsum("nchw, ndhw -> hwcd", waves, waves.conj())
        spectrum = spectrum * (scale / examples.degrees_of_freedom) + ridge * torch.eye(channels, dtype=torch.float64)
        values, vectors = torch.linalg.eigh(spectrum)
        # The Hermitian root: S(-k) is the conjugate of S(k), and draws are real only if their roots are conjugates too.
        root: Tensor = vectors * values.clamp(min=0).sqrt().unsqueeze(-2) @ vectors.mH
        return {"factor": torch.view_as_real(root)}

    def draw(self, fitted: Mapping[str, Tensor], n: int, rng: Generator) -> Tensor:
        """A transform of white noise, one product for each frequency, and the transform back."""
        white = torch.randn(n, *self.shape, generator=rng, dtype=torch.float32, device=rng.device)
        root = torch.view_as_complex(fitted["factor"])
        waves = torch.einsum("hwcd, ndhw -> nchw", root, torch.fft.rfft2(white, norm="ortho"))
        draws: Tensor = torch.fft.irfft2(waves, s=self.shape[1:], norm="ortho")
        return draws


def square_root(covariance: Tensor) -> Tensor:
    """A matrix L with L Lᵀ = `covariance`, `(d, d)`, which may be singular."""
    root: Tensor
    root, failed = torch.linalg.cholesky_ex(covariance)
    if failed:  # a singular covariance, as of constant pixels without a ridge
        values, vectors = torch.linalg.eigh(covariance)
        root = vectors * values.clamp(min=0).sqrt()
    return root
