"""A race: first parity, then memory, then times and what the GPU reports."""

from statistics import median
from typing import Any

import torch
from conditions import Setup
from contenders import PLAIN, Contender
from machine import in_a_child, peak_of
from parity import check_parity, seeded, with_slope
from races import RACES, Race
from timing import Turn, launches, product, ratio, time_in_turns, work

PARITY_STEPS, PARITY_BATCH = 5, 4


def run(kind: str, place: int, setup: Setup) -> dict[str, Any]:
    """The results of a race: the values in the tables, and the times behind them."""
    race = RACES[kind](setup)[place]
    able, distances, refused = passing_parity(race)
    peaks = {one.name: {steps: peak(kind, place, one.name, steps, setup) for steps in race.lengths} for one in able}
    turns = {one.name: turn(one, race) for one in able}
    size = 8192 if setup.device.type == "cuda" else 1024
    ceilings = {product_of(one): product(size, one, setup.device) for one in setup.precisions if race.ceiling}
    steps, rounds = (max(race.steps // 5, 2), 3) if setup.quick else (race.steps, race.rounds)
    seconds = time_in_turns(turns | ceilings, steps, rounds)
    result: dict[str, Any] = {"title": race.title, "batch": len(race.x), "steps": steps}
    result["seconds per step"] = {name: median(seconds[name]) / steps / race.gradients for name in turns}
    result |= {"parity": distances, "refused": refused, "seconds": seconds}
    result["speed"] = {name: ratio(seconds[PLAIN], seconds[name]) for name in turns}
    if race.ceiling:
        result["flops per step"] = flops = work(race.build("leaky_relu"), race.x)
        result["flops per product"] = 2 * size**3
        result["share"] = {
            one.name: ratio(seconds[product_of(one.precision)], seconds[one.name]).times(flops / (2 * size**3))
            for one in able
        }
    if race.lengths:
        result["peak"] = peaks
    if setup.device.type == "cuda":
        result["launches"] = {name: launches(one, steps) / race.gradients for name, one in turns.items()}
        result["waits"] = {name: waits(one, steps) for name, one in turns.items()}
    return result


def passing_parity(race: Race) -> tuple[list[Contender], dict[str, float], dict[str, str]]:
    """The contenders that pass parity, the distance of each, and the reason why the others are refused."""
    x = race.x[:PARITY_BATCH]
    energy = with_slope(race.build("silu"), x)
    distances, refused = check_parity(race.examined or race.contenders, energy, race.rules, x, PARITY_STEPS)
    return [one for one in race.contenders if one.name not in refused], distances, refused


def turn(contender: Contender, race: Race) -> Turn:
    """The steps of a contender, on its own copy of the network."""
    run = contender.make(race.build("leaky_relu"), race.rules[0])
    return lambda steps: seeded(run, race.x, steps)


def product_of(precision: str) -> str:
    """The name of the matrix products of a precision among the turns."""
    return f"matrix product {precision}"


def peak(kind: str, place: int, name: str, steps: int, setup: Setup) -> int | None:
    """Peak memory of a chain in bytes; on a CPU it is measured in a new process."""
    if setup.device.type == "cuda":
        return peak_here(kind, place, name, steps, setup)
    return in_a_child(peak_here, kind, place, name, steps, setup)


def peak_here(kind: str, place: int, name: str, steps: int, setup: Setup) -> int | None:
    """Peak memory of a chain in this process, in bytes."""
    race = RACES[kind](setup)[place]
    (contender,) = (one for one in race.contenders if one.name == name)
    return peak_of(turn(contender, race), steps, setup.device)


def waits(turn: Turn, steps: int) -> bool:
    """Whether the CPU waits for the GPU anywhere in a chain after the first."""
    turn(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        turn(steps)
    except RuntimeError:
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False
