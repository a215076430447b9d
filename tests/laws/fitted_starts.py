"""Laws of starts that are fitted to data: their mean, and their covariance in each of its forms."""

from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import Tensor

from ebmkit.data.examples import Examples
from ebmkit.inits.fitted import FittedGaussian
from laws.law import Law, moments_z, normal, rng

N, SHAPE, RANK, SCALE, RIDGE = 20_000, (2, 3, 4), 3, 0.8, 0.05


def examples() -> Tensor:
    """300 small images of two channels, not square, whose elements are correlated and of unequal variance."""
    generator = rng(60)
    mixing = normal(generator, 24, 24) / 10
    return (normal(generator, 300, 24) @ mixing + normal(generator, 24) / 2).view(300, *SHAPE).float()


def principal(covariance: Tensor) -> Tensor:
    """The covariance with the mean of all but its RANK largest eigenvalues in place of these."""
    values, vectors = torch.linalg.eigh(covariance)
    values[:-RANK] = values[:-RANK].mean()
    return vectors * values @ vectors.T


def stationary(covariance: Tensor) -> Tensor:
    """The mean of the covariances of the images, shifted together by every number of rows and columns."""
    _, height, width = SHAPE
    place = torch.arange(24).view(SHAPE)
    moved = [place.roll(shift, (1, 2)).flatten() for shift in product(range(height), range(width))]
    return torch.stack([covariance[indices][:, indices] for indices in moved]).mean(0)


EXPECTED: dict[str, Callable[[Tensor], Tensor]] = {
    "full": lambda covariance: covariance,
    "low_rank": principal,
    "fourier": stationary,
}


def moments(
    form: str, *, covariance: str | None = None, scale: float = SCALE, ridge: float = RIDGE, wrong: str = ""
) -> float:
    """Means and covariances of starts against those of the examples, computed in another way."""
    x = examples()
    init = FittedGaussian(
        SHAPE,
        Examples(x),
        covariance=covariance or form,
        rank=RANK,
        scale=scale,
        ridge=ridge,  # type: ignore[arg-type]
    )
    state = {name: value.clone() for name, value in init.state_dict().items()}
    if wrong:
        WRONG[wrong](state)
    init.load_state_dict(state)
    flat = x.double().flatten(1)
    expected = SCALE * EXPECTED[form](torch.cov(flat.T)) + RIDGE * torch.eye(24)
    return moments_z(init.sample(N, rng(61)).flatten(1), flat.mean(0), expected)


def _move(state: dict[str, Tensor]) -> None:
    state["mean"] += 0.05


def _transpose(state: dict[str, Tensor]) -> None:
    state["factor"] = state["factor"].T.clone()


def _drop_the_rest(state: dict[str, Tensor]) -> None:
    state["rest"].zero_()


def _drop_a_component(state: dict[str, Tensor]) -> None:
    state["factor"][:, -1] = 0


def _conjugate(state: dict[str, Tensor]) -> None:
    state["factor"][..., 1] *= -1


def _separate_channels(state: dict[str, Tensor]) -> None:
    state["factor"] *= torch.eye(2).unsqueeze(-1)


WRONG: dict[str, Callable[[dict[str, Tensor]], None]] = {
    "mean moved": _move,
    "factor transposed": _transpose,
    "no variance outside the components": _drop_the_rest,
    "one component too few": _drop_a_component,
    "waves in the other direction": _conjugate,
    "independent channels": _separate_channels,
}
OF_FORM = {
    "full": ("factor transposed",),
    "low_rank": ("no variance outside the components", "one component too few"),
    "fourier": ("waves in the other direction", "independent channels"),
}
LAWS = [
    Law(
        f"fitted starts, {form}",
        statement,
        partial(moments, form),
        {
            "scale 10 % too large": {"scale": 1.1 * SCALE},
            "no ridge": {"ridge": 0.0},
            **{wrong: {"wrong": wrong} for wrong in ("mean moved", *OF_FORM[form])},
            "another form": {"covariance": "fourier" if form != "fourier" else "full"},
        },
    )
    for form, statement in {
        "full": "means and covariances are scale C + ridge I, with the mean and covariance C of the examples",
        "low_rank": "the same, with the mean of all but the r largest eigenvalues of C in place of these",
        "fourier": "the same, with the mean of C over all shifts of the image",
    }.items()
]
