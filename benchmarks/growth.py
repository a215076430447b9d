"""How the cost of a chain grows with its length, its batch, and the size and width of the network."""

import math
from collections.abc import Sequence
from functools import partial
from statistics import linear_regression
from typing import Any, NamedTuple

from contenders import PLAIN, Contender, chains
from field import LANGEVIN, Field, network, noiseless
from parity import agreeing, sown, steep
from timing import Turn, take_turns, work
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
# What the other three are while one grows; on a GPU the paper's, as a small network would leave it idle.
SMALL = {"K": 20, "batch": 16, "size": 16, "width": 16}
LARGE = {"K": 20, "batch": 64, "size": 32, "width": 64}
FAST = "ebmkit, accelerated fp32"
PARITY_STEPS = 5


class Exponent(NamedTuple):
    """The p of a cost that grows as value**p, and the standard error of the fit."""

    value: float
    error: float


def exponent(values: Sequence[float], costs: Sequence[float]) -> Exponent:
    """The slope of the straight line through the logarithms, by least squares; at least three points."""
    x, y = [math.log(value) for value in values], [math.log(cost) for cost in costs]
    slope, intercept = linear_regression(x, y)
    mean = sum(x) / len(x)
    squares = sum((b - intercept - slope * a) ** 2 for a, b in zip(x, y, strict=True))
    return Exponent(slope, math.sqrt(squares / (len(x) - 2) / sum((a - mean) ** 2 for a in x)))


def run(field: Field) -> dict[str, Any]:
    """Exponents of time and of operations along each axis; all points take turns, so that drift is nobody's."""
    grids = QUICK if field.quick else GRIDS
    base = LARGE if field.device.type == "cuda" else SMALL
    contenders = [one for one in chains(("fp32",)) if one.name in (PLAIN, FAST)]
    distances, refused = examined(contenders, base, field)
    points = {(axis, value): base | {axis: value} for axis, values in grids.items() for value in values}
    turns = {
        f"{one.name} {axis} {value}": turn(one, point, field)
        for (axis, value), point in points.items()
        for one in contenders
        if one.name not in refused
    }
    seconds = take_turns(turns, 1, 2 if field.quick else 5, warm_up=1)
    # Disturbances only add: the best of the rounds is what a point costs, and no ratio is formed between contenders.
    least = {name: min(times) for name, times in seconds.items()}
    able = [one.name for one in contenders if one.name not in refused]
    flops = {key: point["K"] * work(*problem(point, "leaky_relu", field)) for key, point in points.items()}
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


def problem(point: dict[str, int], activation: Activation, field: Field) -> tuple[nn.Module, Tensor]:
    """The network and the start of a point of the grids."""
    shape = (3, point["size"], point["size"])
    build = partial(ConvNet, shape, width=point["width"])
    return network(build, field.device, activation), field.start(point["batch"], *shape)


def turn(contender: Contender, point: dict[str, int], field: Field) -> Turn:
    """So many whole chains of a point."""
    energy, x = problem(point, "leaky_relu", field)
    run = contender.make(energy, LANGEVIN)

    def chains_of(count: int) -> None:
        for _ in range(count):
            sown(run, x, point["K"])

    return chains_of


def examined(
    contenders: list[Contender], base: dict[str, int], field: Field
) -> tuple[dict[str, float], dict[str, str]]:
    """Parity at the base of the grids."""
    energy, x = problem(base, "silu", field)
    return agreeing(contenders, steep(energy, x), (LANGEVIN, noiseless(LANGEVIN)), x, PARITY_STEPS)
