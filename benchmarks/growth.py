"""How the cost of a chain grows with its length, its batch, the size of images and the width of the network."""

import math
from collections.abc import Sequence
from functools import partial
from statistics import linear_regression
from typing import Any, NamedTuple

from conditions import LANGEVIN, Setup, network, noiseless
from contenders import PLAIN, Contender, chains
from parity import check_parity, seeded, with_slope
from timing import Turn, time_in_turns, work
from torch import Tensor, nn

from ebmkit.energies.activations import Activation
from ebmkit.energies.convnet import ConvNet

GRIDS = {
    "K": (10, 30, 100, 300, 1000),
    "batch": (1, 8, 64, 512),
    "size": (8, 16, 32, 64, 128),
    "width": (16, 32, 64, 128),
}
QUICK = {"K": (10, 30, 100), "batch": (1, 8, 64), "size": (8, 16, 32), "width": (16, 32, 64)}
# The values of the other three while one grows; on a GPU those of the paper, as a small network would not fill it.
SMALL = {"K": 20, "batch": 16, "size": 16, "width": 16}
LARGE = {"K": 20, "batch": 64, "size": 32, "width": 64}
FAST = "ebmkit, accelerated fp32"
PARITY_STEPS = 5


class Exponent(NamedTuple):
    """The exponent p of a cost proportional to value**p, and its standard error."""

    value: float
    error: float


def exponent(values: Sequence[float], costs: Sequence[float]) -> Exponent:
    """The slope of a least-squares line through the logarithms of at least three points."""
    x, y = [math.log(value) for value in values], [math.log(cost) for cost in costs]
    slope, intercept = linear_regression(x, y)
    mean = sum(x) / len(x)
    squares = sum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    return Exponent(slope, math.sqrt(squares / (len(x) - 2) / sum((a - mean) ** 2 for a in x)))


def run(setup: Setup) -> dict[str, Any]:
    """Exponents of time and of operations on each axis; all points take turns, so that drift affects all alike."""
    grids = QUICK if setup.quick else GRIDS
    base = LARGE if setup.device.type == "cuda" else SMALL
    contenders = [one for one in chains(("fp32",)) if one.name in (PLAIN, FAST)]
    distances, refused = parity_at(contenders, base, setup)
    points = {(axis, value): base | {axis: value} for axis, values in grids.items() for value in values}
    turns = {
        f"{one.name} {axis} {value}": turn(one, point, setup)
        for (axis, value), point in points.items()
        for one in contenders
        if one.name not in refused
    }
    seconds = time_in_turns(turns, 1, 2 if setup.quick else 5, warm_up=1)
    # Disturbances only add time, so the minimum over rounds is the cost; no ratios between contenders are formed.
    least = {name: min(times) for name, times in seconds.items()}
    able = [one.name for one in contenders if one.name not in refused]
    flops = {key: point["K"] * work(*problem(point, "leaky_relu", setup)) for key, point in points.items()}
    return {
        "grids": grids,
        "base": base,
        "parity": distances,
        "refused": refused,
        "seconds": seconds,
        "exponents": {
            name: {
                axis: exponent(grid, [least[f"{name} {axis} {value}"] for value in grid])
                for axis, grid in grids.items()
            }
            for name in able
        },
        "work": {axis: exponent(grid, [flops[axis, value] for value in grid]) for axis, grid in grids.items()},
    }


def problem(point: dict[str, int], activation: Activation, setup: Setup) -> tuple[nn.Module, Tensor]:
    """The network and the starts of a point of the grids."""
    shape = (3, point["size"], point["size"])
    build = partial(ConvNet, shape, width=point["width"])
    return network(build, setup.device, activation), setup.start(point["batch"], *shape)


def turn(contender: Contender, point: dict[str, int], setup: Setup) -> Turn:
    """A turn of whole chains at a point."""
    energy, x = problem(point, "leaky_relu", setup)
    run = contender.make(energy, LANGEVIN)

    def chains_of(count: int) -> None:
        for _ in range(count):
            seeded(run, x, point["K"])

    return chains_of


def parity_at(
    contenders: list[Contender], point: dict[str, int], setup: Setup
) -> tuple[dict[str, float], dict[str, str]]:
    """Parity at a point of the grids."""
    energy, x = problem(point, "silu", setup)
    return check_parity(contenders, with_slope(energy, x), (LANGEVIN, noiseless(LANGEVIN)), x, PARITY_STEPS)
