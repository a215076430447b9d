"""Whether ebmkit with the paper's recipe is the plain loop: equal weights after the first updates, up to rounding."""

from itertools import repeat
from pathlib import Path

import torch
from learners import of_run, plain
from learning import Learner, Task
from torch import Tensor, nn

from ebmkit.errors import UsageError
from ebmkit.runs.training import new_run

UPDATES = 3
BOUND = 1e-3  # Adam divides by the size of the gradient, so where that is small its rounding counts more


def check_equality(task: Task, seed: int, folder: Path) -> dict[str, float]:
    """Distances of the weights of ebmkit from those of the plain loop, relative to the path of the latter.

    Initial weights, batches, starts and noise are the same; `autograd` is ebmkit without acceleration.

    Raises:
        UsageError: if they differ by more than rounding.
    """
    reference = trained(plain(task, seed, folder))
    path = (reference - flat(task.network(seed))).norm()
    found = {}
    for name in ("autograd", "accelerated"):
        run = new_run(task.paper(seed))
        if name == "autograd":
            run.trainer.accelerate = None
        found[name] = float((trained(of_run(run)) - reference).norm() / path)
    if max(found.values()) > BOUND:
        raise UsageError(f"after {UPDATES} updates ebmkit and the plain loop differ, by {found} of the path: no race")
    return found


def trained(learner: Learner) -> Tensor:
    """All weights of a contender after the first updates, as one vector."""
    for update in repeat(learner.update, UPDATES):
        update()
    return flat(learner.energy)


def flat(energy: nn.Module) -> Tensor:
    """All weights of a network as one vector, in the order of its parameters."""
    return torch.cat([parameter.detach().flatten() for parameter in energy.parameters()])
