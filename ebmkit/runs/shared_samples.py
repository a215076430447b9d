"""Samples that several processes draw from one model: each its share, by a seed of its own; process 0 gets all."""

from collections.abc import Iterator

import numpy as np
from torch import Generator, Tensor

from ebmkit.processes import Processes
from ebmkit.shortrun import ShortRun


def seed_of(seed: int, rank: int) -> int:
    """The seed of what a process draws: that of process 0 is `seed`, and the others have independent ones."""
    if not rank:
        return seed
    # The first part of the key keeps it from the seeds of chains in training.
    return int(np.random.SeedSequence(seed, spawn_key=(0, rank)).generate_state(1, np.uint64)[0])


def share_of(n: int, rank: int, size: int) -> int:
    """How many of `n` samples a process draws: shares differ by one at most, and the first are the larger."""
    return n // size + (rank < n % size)


def rounds_of(n: int, batch: int, size: int) -> int:
    """How many batches of chains process 0 runs one after another, which no other exceeds."""
    return -(-share_of(n, 0, size) // batch)


def samples_of_all(
    short: ShortRun, n: int, rng: Generator, processes: Processes, *, batch: int = 64
) -> Iterator[Tensor]:
    """`n` samples, of which every process draws its share; process 0 yields all of them, the others nothing.

    In each round every process draws a batch, and process 0 yields these by rank. So the samples depend on the number
    of processes, and no process holds more than one batch of each of them. One process yields what `ShortRun.samples`
    does. All processes must exhaust the iterator together.

    Args:
        short: The model; the same in all processes.
        n: The number of samples, of all processes together.
        rng: Randomness of this process; see `seed_of`.
        processes: Those that draw.
        batch: How many chains run at once in each process.

    Raises:
        UsageError: unless `n` and `batch` are at least 1.
        ProcessLost: if another process ended, or does not answer.
    """
    share = share_of(n, processes.rank, processes.size)
    # There is no share of an invalid n either, and its check is that of the model.
    own = short.samples(share or n, rng, batch=batch) if share or n < 1 else iter(())
    return _gathered(own, rounds_of(n, batch, processes.size), processes)


def _gathered(own: Iterator[Tensor], rounds: int, processes: Processes) -> Iterator[Tensor]:
    """What the processes drew in each round, by rank; nothing in those after the first."""
    if processes.size == 1:
        yield from own
        return
    for _ in range(rounds):
        chunk = next(own, None)
        found = processes.gather(None if chunk is None else chunk.cpu())
        yield from (one for one in found if one is not None)
