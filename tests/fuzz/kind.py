"""A kind of input: its valid examples, how it is changed, what reads it, and a command that reads it."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis.strategies import SearchStrategy

from fuzz.mutations import mutated

BATCH = 200  # inputs that are made together, from one seed

Mutation = Callable[[random.Random, list[bytes]], bytes]


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        name: Its name.
        place: The file in a folder that holds the input.
        prepare: Makes what stands beside that file in a new folder, and returns valid contents of the file.
        read: Reads the input in that folder.
        made: Contents that are well formed, with wrong values.
        mutations: How valid contents are damaged.
        words: The command that reads the input, run in that folder.
        share: The number of inputs in proportion to the other kinds; slow readers get fewer.
        prints: Whether a library in C prints a line about a damaged file, which the reader cannot keep from stderr.
        package: A package that it needs besides those of the library; empty for none.
    """

    name: str
    place: str
    prepare: Callable[[Path], list[bytes]]
    read: Callable[[Path], Any]
    made: SearchStrategy[bytes] | None = None
    mutations: tuple[Mutation, ...] = (mutated,)
    words: tuple[str, ...] = ()
    share: float = 1.0
    prints: bool = False
    package: str = ""

    def batch(self, seeds: list[bytes], seed: int, number: int) -> list[bytes]:
        """The inputs of a batch: first the valid ones, then a quarter made and the rest mutated, always the same."""
        rng = random.Random(f"{self.name} {seed} {number}")
        found = list(seeds) if number == 0 else []
        made = [] if self.made is None else examples(self.made, BATCH // 4, rng.randrange(2**32))
        return found + made + [rng.choice(self.mutations)(rng, seeds) for _ in range(BATCH - len(made) - len(found))]


def examples(strategy: SearchStrategy[bytes], count: int, seed: int) -> list[bytes]:
    """Examples of a strategy, always the same for one seed."""
    found: list[bytes] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
        database=None,
        deadline=None,
        derandomize=False,
    )
    @hypothesis.given(strategy)
    def collect(content: bytes) -> None:
        found.append(content)

    collect()
    return found[:count]
