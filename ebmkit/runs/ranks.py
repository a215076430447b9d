"""What only one process of a run has: the random state of its chains and the state of its init, in the checkpoint."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.processes import Processes
from ebmkit.runs.build import later_seed
from ebmkit.runs.origin import fingerprint

RANKS = "ranks"  # the state of the processes after the first, in that of the trainer; absent for one process


def gathered(trainer: Trainer, processes: Processes) -> dict[str, Any]:
    """The state of a trainer; in process 0 with the parts of the others, each of which is a dict of `rng` and `init`.

    An init whose state is the same in all processes, as one that was fitted to the data, is stored once: the others
    have none.

    Raises:
        UsageError: if the processes have different weights.
    """
    state = trainer.state_dict()
    if processes.size == 1:
        return state
    processes.check_same("the weights", fingerprint(state["energy"]))
    found = processes.exchange(fingerprint(state["init"]))
    own = {} if found[processes.rank] == found[0] else {name: here(value) for name, value in state["init"].items()}
    parts = processes.gather({"rng": state["rng"], "init": own})
    return {**state, RANKS: parts[1:]} if processes.first else state


def part_of(saved: Mapping[str, Any], processes: Processes, seed: int, device: torch.device) -> dict[str, Any]:
    """The state of a trainer, with what belongs to this process.

    A process that the saved run did not have gets the init of one that it had, and new random numbers.

    Args:
        saved: The state, by `gathered`.
        processes: The processes that resume the run.
        seed: The seed of the run.
        device: Where its chains are.
    """
    state = {name: value for name, value in saved.items() if name != RANKS}
    others: list[dict[str, Any]] = saved.get(RANKS, [])
    known, rank = 1 + len(others), processes.rank
    nearest = rank % known
    if nearest:
        part = others[nearest - 1]
        state |= {"rng": part["rng"], "init": part["init"] or saved["init"]}
    if rank >= known:
        state["rng"] = (
            torch.Generator(device).manual_seed(later_seed([seed, saved["index"], processes.size], rank)).get_state()
        )
    return state


def saved_by(saved: Mapping[str, Any]) -> int:
    """How many processes trained the run whose trainer had this state."""
    return 1 + len(saved.get(RANKS, []))


def here(value: Tensor) -> Tensor:
    """A tensor on the CPU, where it can be sent to another process."""
    return value.detach().cpu()
