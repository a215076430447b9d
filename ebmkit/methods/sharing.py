"""What the processes of a run share in an update: for each step of an optimiser one sum of one flat tensor."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ebmkit.errors import ProcessFailed, ProcessLost, UsageError, one_line
from ebmkit.methods.chains import MEASURED
from ebmkit.processes import Processes

SCALARS = ("loss", "real_energy", "fake_energy", *MEASURED)


class Sharing:
    """Makes the update of several processes one: the means of their gradients and scalars, and one decision to stop.

    Every process has the same weights and a part of the batch, of the same size. After the sum each of them has the
    gradient of the whole batch, in the same bits, and makes the same step of the optimiser. The only process shares
    nothing.

    With one optimiser there is one sum in an update. With several there is one for each of their steps, of the weights
    that it moves; a few numbers before it say which it is, so that a process that failed need not know.

    Args:
        networks: The networks of the method, whose saved buffers are shared.
        optimizers: The optimisers of the method.
        processes: The processes of the run.
        terms: The names of the further scalars of an update.

    Attributes:
        wish: Whether this process asks to stop.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        optimizers: Sequence[Optimizer],
        processes: Processes,
        terms: Sequence[str] = (),
    ) -> None:
        self.networks, self.optimizers, self.processes = networks, optimizers, processes
        self.names = (*SCALARS, *terms)
        self.wish: Callable[[], bool] = lambda: False
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether to stop after this update, as any process asked before it was shared: the same in all of them."""
        return self._stopping if self.processes.size > 1 else self.wish()

    def mean(self, scalars: Mapping[str, Tensor], optimizer: Optimizer) -> dict[str, Tensor]:
        """Replace gradients by their means over all processes, and the buffers by those of process 0.

        Args:
            scalars: Values of this process; their names are among SCALARS and the terms.
            optimizer: The optimiser that will move along the gradients.

        Returns:
            Their means over all processes.

        Raises:
            UsageError: if weights have a gradient in only some of the processes, or these are at different optimisers.
            ProcessFailed: if another process failed in this update.
            ProcessLost: if another process ended, or does not answer.
        """
        if self.processes.size == 1:
            return dict(scalars)
        if len(self.optimizers) > 1:
            self._meet(optimizer)
        weights, buffers = moved_by(optimizer), self._buffers
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in weights]
        known = [one.grad is not None for one in weights] + [name in scalars for name in self.names]
        values = [scalars.get(name, weights[0].new_zeros(())).float() for name in self.names]
        found, signs = self._sum([*gradients, *self._own(buffers)], torch.stack(values), known)
        if any(0 < sign < self.processes.size for sign in signs):
            some = "weights have a gradient in only some of the processes"
            self.processes.refuse(UsageError(f"{some}: use them in every pass, or freeze them"))
        with torch.no_grad():
            for one, total in zip(weights, found, strict=False):
                if one.grad is not None:
                    one.grad.copy_(total.view_as(one).div_(self.processes.size))
            for buffer, total in zip(buffers, found[len(weights) : -1], strict=True):
                buffer.copy_(total.view_as(buffer))
        means = dict(zip(self.names, found[-1] / self.processes.size, strict=True))
        return {name: means[name] for name in scalars}

    @contextmanager
    def whole(self) -> Iterator[None]:
        """A block that makes an update: if it fails in one process, it fails in all, and none makes it.

        Raises:
            ProcessFailed: in all processes, except where the exception is a bug: it is raised in its own.
        """
        try:
            yield
        except (ProcessFailed, ProcessLost):
            raise
        except Exception as error:
            if self.processes.size > 1 and error is not self.processes.agreed:
                self._abandon(error)
            raise

    def _abandon(self, error: Exception) -> None:
        """Take part in the next sum of this update as the process that failed."""
        usual = isinstance(error, UsageError | OSError)
        failure = ProcessFailed(one_line(error)) if usual else error
        if len(self.optimizers) > 1:
            self._meet(None, failure)
            return
        weights = moved_by(self.optimizers[0])
        zeros = [torch.zeros_like(one) for one in (*weights, *self._buffers)]
        known = [False] * (len(weights) + len(self.names))
        self._sum(zeros, weights[0].new_zeros(len(self.names), dtype=torch.float32), known, failure)

    def _meet(self, optimizer: Optimizer | None, failure: Exception | None = None) -> None:
        """Say which of several optimisers comes next, whose sums differ in size; None is the process that failed.

        Raises:
            UsageError: if other processes are at another optimiser.
        """
        own = [one is optimizer for one in self.optimizers]
        signs = torch.tensor([*own, failure is not None], device=moved_by(self.optimizers[0])[0].device).float()
        *at, failed = self.processes.sum(signs).tolist()
        if failed:
            self.processes.exchange(None, failure)
        if max(at) < self.processes.size:
            self.processes.refuse(UsageError("the processes call `descend` with different optimisers in one update"))

    def _sum(
        self, parts: Sequence[Tensor], scalars: Tensor, known: list[bool], failure: Exception | None = None
    ) -> tuple[list[Tensor], list[float]]:
        """The sums of the parts and of the scalars, flat, and how many processes know each of them."""
        signs = scalars.new_tensor([*known, self.wish(), failure is not None])
        every = [*parts, scalars, signs]
        total = self.processes.sum(torch.cat([one.detach().flatten() for one in every]))
        *found, counts = torch.split(total, [one.numel() for one in every])
        *signed, stop, failed = counts.tolist()
        if failed:
            self.processes.exchange(None, failure)
        self._stopping = stop > 0
        return found, signed

    def _own(self, buffers: list[Tensor]) -> list[Tensor]:
        """The buffers of process 0, and zeros in the others: their sum is that of process 0, bit for bit."""
        return buffers if self.processes.first else [torch.zeros_like(one) for one in buffers]

    @property
    def _buffers(self) -> list[Tensor]:
        """The buffers that are saved; any other belongs to a batch, like the condition of a chain."""
        return [
            one
            for network, saved in zip(self.networks, self._saved, strict=True)
            for name, one in network.named_buffers()
            if name in saved and one.is_floating_point()
        ]

    @cached_property
    def _saved(self) -> list[set[str]]:
        return [set(network.state_dict()) for network in self.networks]


def moved_by(optimizer: Optimizer) -> list[nn.Parameter]:
    """The weights that an optimiser moves."""
    return [one for group in optimizer.param_groups for one in group["params"] if one.requires_grad]
