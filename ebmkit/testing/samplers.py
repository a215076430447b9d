"""What every sampler must do, whatever it promises."""

import math
from itertools import product

import torch
from torch import Generator, Tensor

from ebmkit.testing.kit import NotPromised, Subject, require
from ebmkit.testing.probes import DIVERGED, Network, chain_of, nan, nan_gradient, require_same, start_at
from ebmkit.testing.targets import quadratic

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
STEP = 1e-5  # of a central difference in double precision: its error is of the order of STEP² and of 1e-16 / STEP


def chains_keep_shape_dtype_and_device(subject: Subject) -> None:
    """States have the shape, dtype and device of the start: points, images, one example; also on a GPU if available."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for shape, dtype, device in product([(4, 3), (1, 3), (2, 3, 8, 8)], DTYPES, devices):
        start = start_at(*shape).to(device, dtype)
        for state in subject.make().chain(quadratic, start, Generator(device).manual_seed(0)):
            expected, found = (f"{tuple(x.shape)} of {x.dtype} on {x.device}" for x in (start, state.x))
            require(
                found == expected,
                f"a start {expected} became {found}: draw noise with noise_like(x, rng), and broadcast values (B,) "
                f"with per_example",
            )


def chains_take_energies_of_one_column(subject: Subject) -> None:
    """An energy that returns `(B, 1)` gives the same chain as one that returns `(B,)`."""
    flat, column = (
        subject.make().sample(energy, start_at(), Generator().manual_seed(0))
        for energy in (quadratic, lambda x: quadratic(x).unsqueeze(1))
    )
    require_same(
        flat,
        column,
        "an energy of shape (B, 1) gives another chain: evaluate it by ebmkit.value_and_grad, which accepts both",
    )


def chains_report_energy_and_gradient_before_each_step(subject: Subject) -> None:
    """`info["energy"]` `(B,)` and `info["gradient"]` `(B, *shape)`, where present, are those before the step."""
    x = start_at()
    seen: set[str] = set()
    for state in chain_of(subject.make(), quadratic, x):
        for name, expected in {"energy": quadratic(x), "gradient": x}.items():
            if name not in state.info:
                continue
            seen.add(name)
            found = state.info[name]
            right = found.shape == expected.shape and torch.allclose(
                found, expected, rtol=1e-4, atol=1e-5, equal_nan=True
            )
            reason = (
                f"info['{name}'] is not that of the point where the step began: use what value_and_grad returned there"
            )
            require(right, reason if bool(found.isfinite().all()) else DIVERGED)
        x = state.x
    if not seen:
        raise NotPromised("info['energy'] (B,) and info['gradient'] (B, *shape)")


def chains_do_not_replace_nan(subject: Subject) -> None:
    """Where the energy is NaN, an example stays where it is or becomes NaN; it never moves to a finite value."""
    start = start_at(64, 3)
    broken = {"energy and gradient": nan, "gradient": nan_gradient}
    if subject.make().promises.gradients == 0:
        del broken["gradient"]
    for name, energy in broken.items():
        x = start
        for state in chain_of(subject.make(), energy, x):
            moved = state.x.isfinite().all(1) & (state.x != x).any(1)
            require(
                not bool(moved.any()),
                f"{int(moved.sum())} of {len(x)} examples moved to finite values although {name} were NaN: use "
                f"no nan_to_num and no clamp; reject such proposals, or let NaN propagate",
            )
            x = state.x


def chains_can_be_differentiated(subject: Subject) -> None:
    """Where the start requires gradients, so does the end, and its gradient agrees with finite differences."""
    start, direction, weight = start_at(3, 8, 3).double()

    def end(x: Tensor) -> Tensor:
        *_, last = chain_of(subject.make(), Network().double(), x)
        return torch.sum(weight * last.x)

    given = start.clone().requires_grad_()
    found = end(given)
    require(
        found.requires_grad,
        "the end does not require gradients although the start does: use no detach and no torch.no_grad; a sampler "
        "without gradients evaluates by `with eval_mode(energy): energy_values(energy, x)`, both from ebmkit",
    )
    (gradient,) = torch.autograd.grad(found, given)
    along = float((gradient * direction).sum())
    slope = float(end(start + STEP * direction) - end(start - STEP * direction)) / (2 * STEP)
    require(math.isfinite(along) and math.isfinite(slope), DIVERGED)
    require(
        math.isclose(along, slope, rel_tol=1e-4),
        f"along one direction the chain's end changes by {slope:.6g}, but its gradient says {along:.6g}: use no "
        f"detach and no .data in the step, and evaluate by value_and_grad; a sampler without gradients uses `with "
        f"eval_mode(energy): energy_values(energy, x)`, both from ebmkit",
    )
