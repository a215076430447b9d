"""The global random states, which a part must neither change nor depend on."""

import pickle
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def changed_by(action: Callable[[], Any]) -> str:
    """The global random states that an action changes: "torch", "numpy", "Python", or several; "" for none."""
    with seeded(20191208):  # a seed that no part sets by chance
        before = _states()
        action()
        return " and ".join(name for name, state in _states().items() if state != before[name])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all three generators within the block, and restore their states after it."""
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def _states() -> dict[str, Any]:
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": pickle.dumps(np.random.get_state()),  # noqa: NPY002
        "Python": random.getstate(),
    }
