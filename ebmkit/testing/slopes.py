"""The gradient of an energy and its exact draws, which must agree with the values of the energy."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit.errors import one_line
from ebmkit.interfaces import EnergyFn, energy_values, eval_mode, value_and_grad
from ebmkit.testing.globals import changed_by
from ebmkit.testing.kit import NotPromised, Subject, require
from ebmkit.testing.making import call, close, in_dtype, new_energy, normal, uniform
from ebmkit.testing.statistics import LIMIT, z

DRAWS = 20_000


def energies_depend_on_x_through_autograd(subject: Subject) -> None:
    """Autograd gives dE/dx `(B, *shape)`, and it is not 0 everywhere."""
    advice = "compute with torch on x itself: no detach, no .data, no numpy, no rounding"
    try:
        _, gradient = value_and_grad(new_energy(subject), uniform(subject, 4))
    except ValueError as error:
        return require(False, f"{one_line(error)}; {advice}")
    require(gradient.shape == (4, *subject.shape), f"dE/dx has shape {tuple(gradient.shape)}, not that of x; {advice}")
    require(bool(gradient.any()), f"dE/dx is 0 everywhere; {advice}")


def energies_have_the_gradient_of_their_values(subject: Subject) -> None:
    """dE/dx is the slope of E along random directions, by central differences in double precision.

    Two step lengths show how precisely a slope is known. Kinks disturb a few slopes, so medians are compared.
    """
    energy, x = in_dtype(new_energy(subject), torch.float64), uniform(subject, 8).double()
    value, gradient = value_and_grad(energy, x)
    rng, step = Generator().manual_seed(1), torch.finfo(torch.float64).eps ** (1 / 3)
    errors, doubts = [], []
    for _ in range(5):
        direction = torch.randn(x.shape, generator=rng, dtype=x.dtype)
        direction /= direction.flatten(1).norm(dim=1).view(-1, *[1] * len(subject.shape))
        long, short = (_slope(energy, x, size * direction) / size for size in (step, step / 2))
        errors.append(((direction * gradient).flatten(1).sum(1) - short).abs())
        doubts.append((long - short).abs())
    error, doubt = float(torch.cat(errors).median()), float(torch.cat(doubts).median())
    # The rounding of E, in the dtype that it is returned in, changes a slope by up to this much.
    rounding = torch.finfo(value.dtype).eps * float(value.abs().max()) / step
    require(
        error <= 10 * (doubt + rounding),
        f"dE/dx is wrong by {error:.2g} along a random direction (the slope is known to {doubt + rounding:.1g}); "
        "look for detach, .data or rounding in a part of E, or correct its own value_and_grad or backward",
    )


def piecewise_linear_energies_are_piecewise_linear(subject: Subject) -> None:
    """An energy with `piecewise_linear = True` has the same gradient after a very small step, for most examples."""
    energy = new_energy(subject)
    if not getattr(energy, "piecewise_linear", False):
        raise NotPromised("an attribute `piecewise_linear`, for energies whose gradient changes only at kinks")
    energy = in_dtype(energy, torch.float64)
    x = normal(subject, 200).double()
    here, there = (value_and_grad(energy, at)[1].flatten(1) for at in (x, x + 1e-7 * x.flip(0)))
    same = (here - there).abs().amax(1) <= 1e-12 * here.abs().amax(1)
    require(
        float(same.double().mean()) > 0.5,
        f"the gradient changes within a step of 1e-7 for {int((~same).sum())} of {len(x)} examples: set "
        f"piecewise_linear = False",
    )


def own_value_and_grad_agrees_with_autograd(subject: Subject) -> None:
    """A method `value_and_grad` of the energy itself returns what `forward` and autograd give."""
    energy, x = new_energy(subject), uniform(subject, 4)
    if not hasattr(energy, "value_and_grad"):
        raise NotPromised("a method value_and_grad(x) of its own")
    found = value_and_grad(energy, x)
    with eval_mode(energy):
        expected = value_and_grad(lambda x: energy_values(energy, x), x)
    for name, one, other in zip(("values", "gradient"), found, expected, strict=True):
        agree = one.shape == other.shape and close(one, other)
        require(agree, f"the {name} of value_and_grad are not those of forward; correct it, or remove it")


def draws_repeat_with_their_seed(subject: Subject) -> None:
    """`draw(n, rng)` returns `(n, *shape)`, drawn only from `rng`: the same for the same seed, others for another."""
    energy = _drawing(subject)
    first = energy.draw(5, Generator().manual_seed(1))
    require(first.shape == (5, *subject.shape), f"draw(5, rng) returned {tuple(first.shape)}; return (n, *shape)")
    found: list[Tensor] = []
    drawn = changed_by(lambda: found.extend(energy.draw(5, Generator().manual_seed(seed)) for seed in (1, 2)))
    require(not drawn, f"draw changed the random state of {drawn}; use generator=rng in every call")
    require(torch.equal(found[0], first), "one seed gave two different draws; use generator=rng in every call")
    require(not torch.equal(found[1], first), "two seeds gave the same draws; use generator=rng in every call")


def draws_follow_the_density(subject: Subject) -> None:
    """`draw(n, rng)` samples exp(-E): E[dE/dx] = 0 and E[x_i dE/dx_j] is 1 for i = j and else 0, by z-tests.

    Source: Stein's identity. With more than 8 elements, x and dE/dx are projected on 8 random directions.
    """
    energy, size = _drawing(subject), math.prod(subject.shape)
    rng = Generator().manual_seed(3)
    directions = torch.linalg.qr(torch.randn(size, 8, generator=rng))[0] if size > 8 else torch.eye(size)
    seen: list[Tensor] = []
    for _ in range(DRAWS // 1000):
        x = energy.draw(1000, rng)
        score = value_and_grad(energy, x)[1].flatten(1) @ directions.to(x.dtype)
        products = (x.flatten(1) @ directions.to(x.dtype)).unsqueeze(2) * score.unsqueeze(1)
        seen.append(torch.cat([score, products.flatten(1)], 1))
    count = directions.shape[1]
    found = z(torch.cat(seen), torch.cat([torch.zeros(count), torch.eye(count).flatten()]))
    require(
        found < LIMIT,
        f"draws are not from exp(-E): z = {found:.1f} for the means of dE/dx and x dE/dx, not below {LIMIT:g}; check "
        "the sign and the scale of E, and draw at temperature 1",
    )


def _drawing(subject: Subject) -> Any:
    energy = new_energy(subject)
    if not hasattr(energy, "draw"):
        raise NotPromised("a method draw(n, rng) of exact samples of exp(-E)")
    return energy


def _slope(energy: EnergyFn, x: Tensor, offset: Tensor) -> Tensor:
    """(E(x + offset) - E(x - offset)) / 2, `(B,)`."""
    return (call(energy, x + offset) - call(energy, x - offset)).flatten() / 2
