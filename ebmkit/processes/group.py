"""The processes that train one run together, on PyTorch's own engine: who they are, and what they say to each other.

A process that was started by itself is the only one: every function gives back what it was given, and nothing of
`torch.distributed` is initialised.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from ebmkit.errors import ProcessFailed, ProcessLost, UsageError, kind_and_message, one_line

Value = TypeVar("Value")
# Objects always go through gloo; tensors on a GPU through nccl.
BACKEND = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
TIMEOUT = 1800.0  # seconds that one process waits for another, where no setting says otherwise: that of PyTorch


@dataclass(eq=False)
class Processes:
    """The processes of a run, and which of them this is.

    What one of them does, all do, in the same order: every method except `first` waits for all others. If a process
    raises within `together` while the others wait in any of them, the error is raised in all.

    Attributes:
        rank: The number of this process, from 0.
        size: How many there are.
        local_rank: The number of this process among those of its machine.
        timeout: Seconds that one waits for another.
        group: The group of `torch.distributed`; None for the only process.
        agreed: The last error that was raised in all processes, which process 0 reports; None if there was none.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    timeout: float = TIMEOUT
    group: Any = None
    agreed: BaseException | None = None

    @property
    def first(self) -> bool:
        """Whether this is process 0, the one that prints and writes files."""
        return self.rank == 0

    def wait_at_most(self, seconds: float) -> None:
        """Set how long one process waits for another from now on.

        Raises:
            UsageError: if the others cannot be reached.
        """
        if self.size > 1 and seconds != self.timeout:
            self.exchange(None)  # a process that has failed already is seen here, not while a group is made
            with reaching():
                self.group = dist.new_group(backend=BACKEND, timeout=timedelta(seconds=seconds))
            self.timeout = seconds

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes of a tensor, in place, with the same bits in each of them.

        Raises:
            ProcessLost: if another process ended, or does not answer.
        """
        if self.size > 1:
            with self._answered():
                dist.all_reduce(values, group=self.group)
        return values

    def exchange(self, value: Value, error: BaseException | None = None) -> list[Value]:
        """The values of all processes, by rank.

        Args:
            value: That of this process; small.
            error: What went wrong here; None if nothing did.

        Raises:
            BaseException: the error of the lowest rank that has one, in all processes. An error that is neither a
                `UsageError` nor an `OSError` is a `ProcessFailed` in the others.
            ProcessLost: if another process ended, or does not answer.
        """
        if self.size == 1:
            if error is not None:
                raise error
            return [value]
        found: list[Any] = [None] * self.size
        with self._answered():
            dist.all_gather_object(found, (value, portable(error)), group=self.group)
        failures = [one for _, one in found]
        failed = next((rank for rank, one in enumerate(failures) if one is not None), None)
        if failed is not None:
            if error is None or self.rank != failed:
                error = failures[failed] if failed == 0 else named(failures[failed], failed, self.size)
            self.agreed = error
            raise error
        return [one for one, _ in found]

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that ends in all processes alike: an error in one of them is raised in all; see `exchange`."""
        try:
            yield
        except Exception as error:
            if self.size > 1 and error is not self.agreed and not isinstance(error, ProcessLost):
                self.exchange(None, error)
            raise
        self.exchange(None)

    def from_first(self, compute: Callable[[], Value]) -> Value:
        """What only process 0 computes.

        Raises:
            ProcessLost: if another process ended, or does not answer.
        """
        if self.size == 1:
            return compute()
        held: list[Any] = [compute() if self.first else None]
        self.exchange(None)
        with self._answered():
            dist.broadcast_object_list(held, group=self.group, group_src=0)
        value: Value = held[0]
        return value

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank, in process 0; an empty list in the others.

        Raises:
            ProcessLost: if another process ended, or does not answer.
        """
        if self.size == 1:
            return [value]
        self.exchange(None)
        found: list[Any] | None = [None] * self.size if self.first else None
        with self._answered():
            dist.gather_object(value, found, group=self.group, group_dst=0)
        return found or []

    def check_same(self, what: str, value: object) -> None:
        """Refuse values that are not the same in all processes.

        Raises:
            UsageError: naming `what`, and the first process that differs from process 0.
        """
        found = self.exchange(value)
        for rank, other in enumerate(found):
            if other != found[0]:
                self.refuse(UsageError(f"process {rank} has other {what} than process 0: {other}"))

    def refuse(self, error: Exception) -> NoReturn:
        """Raise an error that is raised in all processes alike.

        Raises:
            Exception: this error.
        """
        self.agreed = error
        raise error

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Turn what torch raises where a process is gone into one line."""
        try:
            yield
        except RuntimeError as error:
            late = any(word in str(error).lower() for word in ("timed out", "timeout"))
            what = f"did not answer for {self.timeout:g} s" if late else "ended"
            raise ProcessLost(f"another process of the run {what}") from error


def portable(error: BaseException | None) -> BaseException | None:
    """An error as other processes can raise it."""
    if error is None or isinstance(error, UsageError | OSError | ProcessFailed):
        return error
    return ProcessFailed(kind_and_message(error))


def named(error: BaseException, rank: int, size: int) -> BaseException:
    """The error of another process, which it names."""
    kind = type(error) if isinstance(error, UsageError) else ProcessFailed
    return kind(f"process {rank} of {size}: {one_line(error)}")


@contextmanager
def reaching() -> Iterator[None]:
    """Turn what torch raises where a group cannot be made into one line."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"cannot reach the other processes of the run: {one_line(error)[:200]}") from error
