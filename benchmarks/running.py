"""How a race is run: parity first, then memory, then the clock and the GPU's own figures."""

from statistics import median
from typing import Any

import torch
from contenders import PLAIN, Contender
from field import Field
from machine import in_a_child, peak_of
from parity import agreeing, sown, steep
from races import RACES, Race
from timing import Turn, launches, product, ratio, take_turns, work

PARITY_STEPS, PARITY_BATCH = 5, 4


def run(kind: str, place: int, field: Field) -> dict[str, Any]:
    """The race of that kind and place, as numbers: all that the tables show, and the seconds they come from."""
    race = RACES[kind](field)[place]
    able, distances, refused = fit_to_run(race)
    peaks = {one.name: {steps: peak(kind, place, one.name, steps, field) for steps in race.lengths} for one in able}
    turns = {one.name: turn(one, race) for one in able}
    size = 8192 if field.device.type == "cuda" else 1024
    ceilings = {product_of(one): product(size, one, field.device) for one in field.precisions if race.ceiling}
    steps, rounds = (max(race.steps // 5, 2), 3) if field.quick else (race.steps, race.rounds)
    seconds = take_turns(turns | ceilings, steps, rounds)
    result: dict[str, Any] = {"title": race.title, "batch": len(race.x), "steps": steps}
    result["seconds a step"] = {name: median(seconds[name]) / steps / race.gradients for name in turns}
    result |= {"parity": distances, "refused": refused, "seconds": seconds}
    result["speed"] = {name: ratio(seconds[PLAIN], seconds[name]) for name in turns}
    if race.ceiling:
        result["flops of a step"] = flops = work(race.build("leaky_relu"), race.x)
        result["flops of a product"] = 2 * size**3
        result["share"] = {
            one.name: ratio(seconds[product_of(one.precision)], seconds[one.name]).times(flops / (2 * size**3))
            for one in able
        }
    if race.lengths:
        result["peak"] = peaks
    if field.device.type == "cuda":
        result["launches"] = {name: launches(one, steps) / race.gradients for name, one in turns.items()}
        result["waits"] = {name: waits(one, steps) for name, one in turns.items()}
    return result


def fit_to_run(race: Race) -> tuple[list[Contender], dict[str, float], dict[str, str]]:
    """Who ends where the plain loop ends, how far everybody is from there, and why the others may not run."""
    x = race.x[:PARITY_BATCH]
    energy = steep(race.build("silu"), x)
    distances, refused = agreeing(race.examined or race.contenders, energy, race.rules, x, PARITY_STEPS)
    return [one for one in race.contenders if one.name not in refused], distances, refused


def turn(contender: Contender, race: Race) -> Turn:
    """A contender's steps, on a network of its own."""
    run = contender.make(race.build("leaky_relu"), race.rules[0])
    return lambda steps: sown(run, race.x, steps)


def product_of(precision: str) -> str:
    """What the ceiling of a precision is called among the turns."""
    return f"matrix product {precision}"


def peak(kind: str, place: int, name: str, steps: int, field: Field) -> int | None:
    """The peak of memory in a chain, in bytes; on a CPU that of a process that does nothing else."""
    if field.device.type == "cuda":
        return peak_here(kind, place, name, steps, field)
    return in_a_child(peak_here, kind, place, name, steps, field)


def peak_here(kind: str, place: int, name: str, steps: int, field: Field) -> int | None:
    """The same in this process."""
    race = RACES[kind](field)[place]
    (contender,) = (one for one in race.contenders if one.name == name)
    return peak_of(turn(contender, race), steps, field.device)


def waits(turn: Turn, steps: int) -> bool:
    """Whether the CPU waits for the GPU anywhere in a chain that is not the first."""
    turn(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        turn(steps)
    except RuntimeError:
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False
