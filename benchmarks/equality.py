"""Whether contenders with the paper's recipe are the plain loop: equal weights after the first updates."""

from collections.abc import Mapping
from itertools import repeat
from pathlib import Path

import torch
from learners import of_run, plain
from learning import Learner, Make, Task
from parity import BOUNDS
from torch import Tensor, nn

from ebmkit.errors import UsageError
from ebmkit.runs.training import new_run

UPDATES = 3
# The first update of Adam is the sign of the gradient. If gradients differ by a fraction r of their size, about that
# fraction of the signs differ, by 2 each: the distance of the weights is of the order of the root of r.
BOUND = BOUNDS["fp32"] ** 0.5


def check_equality(task: Task, seed: int, folder: Path, others: Mapping[str, Make]) -> dict[str, float]:
    """Distances of weights from those of the plain loop, relative to the path of the latter.

    Initial weights, batches, starts and noise are the same.

    Args:
        task: The task; the recipe is the paper's.
        seed: The seed of all contenders.
        folder: Where contenders may write.
        others: Further contenders with the paper's recipe, by name.

    Returns:
        The distance of ebmkit without acceleration, `autograd`, of ebmkit accelerated, and of all others.

    Raises:
        UsageError: if one differs by more than rounding.
    """
    reference = trained(plain(task, seed, folder))
    path = (reference - flat(task.network(seed))).norm()
    by_autograd = new_run(task.paper(seed))
    by_autograd.trainer.accelerate = None
    found = {"autograd": trained(of_run(by_autograd)), "accelerated": trained(of_run(new_run(task.paper(seed))))}
    found |= {name: trained(make(task, seed, folder)) for name, make in others.items()}
    distances = {name: float((end - reference).norm() / path) for name, end in found.items()}
    wrong = {name: distance for name, distance in distances.items() if not distance <= BOUND}
    if wrong:
        raise UsageError(
            f"after {UPDATES} updates these are not where the plain loop is, relative to its path: {wrong}"
        )
    return distances


def trained(learner: Learner) -> Tensor:
    """All weights of a contender after the first updates, as one vector."""
    for update in repeat(learner.update, UPDATES):
        update()
    return flat(learner.energy)


def flat(energy: nn.Module) -> Tensor:
    """All weights of a network as one vector, in the order of its parameters."""
    return torch.cat([parameter.detach().flatten() for parameter in energy.parameters()])
