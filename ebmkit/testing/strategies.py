"""Hypothesis strategies for tests of parts: examples, shapes, precisions, energies and generators.

    from ebmkit.testing.strategies import energies, examples, generators

    @given(energies((2,)), examples((2,)), generators())
    def test_the_chain_stays_finite(energy, x, rng):
        assert MySampler(steps=3).sample(energy, x, rng).isfinite().all()

This module needs hypothesis; the rest of ebmkit does not.
"""

import math

import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy
from hypothesis.strategies import SearchStrategy
from torch import Generator, Tensor, nn


def shapes(*, most: int = 64) -> SearchStrategy[tuple[int, ...]]:
    """Shapes of one example: vectors `(d,)`, and square images `(C, H, W)` in grey or colour.

    Args:
        most: The largest number of elements; there are no images where none is small enough.
    """
    vectors = st.integers(1, most).map(lambda size: (size,))
    images = [(channels, side, side) for side in (2, 4, 8, 16, 32) for channels in (1, 3)]
    small = [shape for shape in images if math.prod(shape) <= most]
    return st.one_of(vectors, st.sampled_from(small)) if small else vectors


def examples(
    shape: tuple[int, ...],
    *,
    most: int = 5,
    low: float = -1.0,
    high: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> SearchStrategy[Tensor]:
    """Batches `(B, *shape)` of 1 to `most` examples, with elements between `low` and `high`, rounded to `dtype`."""
    numbers = st.floats(low, high, allow_subnormal=False)
    batches = st.integers(1, most).map(lambda count: (count, *shape))
    arrays = numpy.arrays("float64", batches, elements=numbers)
    return arrays.map(lambda array: torch.from_numpy(array).to(dtype))


def precisions(d: int, *, condition: float = 100.0) -> SearchStrategy[Tensor]:
    """Symmetric positive definite matrices `(d, d)` in double precision.

    Args:
        d: The number of rows.
        condition: The largest condition number; eigenvalues are between its root and the inverse of its root.
    """
    reach = math.log(condition) / 2
    logarithms = st.lists(st.floats(-reach, reach), min_size=d, max_size=d)
    return st.builds(_precision, logarithms, seed=st.integers(0, 2**32 - 1))


def energies(shape: tuple[int, ...], *, dtype: torch.dtype = torch.float32) -> SearchStrategy[nn.Module]:
    """Smooth energies whose exp(-E) has a finite integral: quadratics and small networks.

    Above 64 elements the only quadratic is |x|² / 2.
    """
    d = math.prod(shape)
    quadratics = st.builds(Quadratic, precisions(d)) if d <= 64 else st.builds(Quadratic, st.just(torch.eye(d)))
    networks = st.builds(Network, st.just(shape), seed=st.integers(0, 2**32 - 1))
    return st.one_of(quadratics, networks).map(lambda energy: energy.to(dtype))


def generators() -> SearchStrategy[Generator]:
    """Generators on the CPU with different seeds."""
    return st.builds(_generator, seed=st.integers(0, 2**32 - 1))


class Quadratic(nn.Module):
    """`E(x) = xᵀ Λ x / 2`, x flattened: a Gaussian of precision Λ `(d, d)`."""

    precision: Tensor

    def __init__(self, precision: Tensor) -> None:
        super().__init__()
        self.register_buffer("precision", precision)

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)`."""
        flat = x.flatten(1)
        return (flat @ self.precision * flat).sum(1) / 2


class Network(nn.Module):
    """`E(x) = |x|² / 2 + Σⱼ aⱼ tanh(wⱼ . x + bⱼ)`, x flattened: 8 units with weights drawn from a seed."""

    def __init__(self, shape: tuple[int, ...], *, seed: int) -> None:
        super().__init__()
        rng, d = _generator(seed), math.prod(shape)
        self.weight = nn.Parameter(2 * torch.randn(d, 8, generator=rng) / math.sqrt(d))
        self.bias = nn.Parameter(torch.randn(8, generator=rng))
        self.height = nn.Parameter(torch.randn(8, generator=rng))

    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)`."""
        flat = x.flatten(1)
        return flat.square().sum(1) / 2 + torch.tanh(flat @ self.weight + self.bias) @ self.height


def _generator(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def _precision(logarithms: list[float], *, seed: int) -> Tensor:
    """A matrix with the eigenvalues exp(logarithms), along random directions."""
    d = len(logarithms)
    directions = torch.linalg.qr(torch.randn(d, d, generator=_generator(seed), dtype=torch.float64))[0]
    precision: Tensor = directions * torch.tensor(logarithms, dtype=torch.float64).exp() @ directions.T
    return (precision + precision.T) / 2
