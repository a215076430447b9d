"""What only one process of a run has: the random state of its chains and the state of its init, in the checkpoint."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ebmkit.methods.method import Method
from ebmkit.processes import Processes
from ebmkit.runs.build import later_seed
from ebmkit.runs.origin import fingerprint

RANKS = "ranks"  # the state of the processes after the first, in that of the trainer; absent for one process


def gathered(method: Method, processes: Processes) -> dict[str, Any]:
    """The state of a method; in process 0 with the parts of the others.

    A part is a dict of the states of generators of random numbers and of inits. An init whose state is the same in all
    processes, as one that was fitted to the data, is stored once: the others have none.

    Raises:
        UsageError: if the processes have different weights.
    """
    state = method.state_dict()
    if processes.size == 1:
        return state
    for name in method.networks:
        processes.check_same("weights", fingerprint(state[name]))
    part: dict[str, Any] = method.random_states()
    for name in set_apart(method):
        found = processes.exchange(fingerprint(state[name]))
        same = found[processes.rank] == found[0]
        part[name] = {} if same else here(state[name])
    parts = processes.gather(part)
    return {**state, RANKS: parts[1:]} if processes.first else state


def set_apart(method: Method) -> list[str]:
    """The names of what each process has for itself and a model needs: inits, and samplers with a state."""
    return [name for name in method.drawn_from if name not in method.networks]


def part_of(saved: Mapping[str, Any], method: Method, processes: Processes, seed: int) -> dict[str, Any]:
    """The state of a method, with what belongs to this process.

    A process that the saved run did not have gets the inits of one that it had, and new random numbers.

    Args:
        saved: The state, by `gathered`.
        method: The method that will get it.
        processes: The processes that resume the run.
        seed: The seed of the run.
    """
    state = {name: value for name, value in saved.items() if name != RANKS}
    others: list[dict[str, Any]] = saved.get(RANKS, [])
    known, rank = 1 + len(others), processes.rank
    nearest = rank % known
    if nearest:
        part = others[nearest - 1]
        state |= {name: value for name, value in part.items() if isinstance(value, Tensor) or value}
    if rank >= known:
        for number, name in enumerate(method.random_states()):
            entropy = [seed, saved["index"], processes.size, *([number] if number else [])]
            generator = torch.Generator(method.rng.device).manual_seed(later_seed(entropy, rank))
            state[name] = generator.get_state()
    return state


def saved_by(saved: Mapping[str, Any]) -> int:
    """How many processes trained the run whose method had this state."""
    return 1 + len(saved.get(RANKS, []))


def here(value: Any) -> Any:
    """A state with its tensors on the CPU, where they can be sent to another process."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {key: here(one) for key, one in value.items()}
    return [here(one) for one in value] if isinstance(value, list | tuple) else value
