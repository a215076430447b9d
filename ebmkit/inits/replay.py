"""The ends of earlier chains as p_0: persistent contrastive divergence."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError, check
from ebmkit.inits.gaussian import Gaussian
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import InitDistribution

BASE = "base."  # begins the names of the tensors of `base` in the state


@dataclass(eq=False)
class ReplayBuffer(InitDistribution):
    """A replay buffer: chains start where earlier chains ended, and sometimes from a base distribution again.

    The buffer is filled from `base` at the first `sample`. `sample` picks distinct slots, and replaces each start by
    a draw from `base` with probability `restart`, independently; `remember` then stores the ends of the chains in
    these slots.

    Source: Tieleman, ICML 2008 (persistent chains); Du & Mordatch, NeurIPS 2019 (buffer of 10,000, restart 0.05).

    Args:
        size: How many examples the buffer holds.
        restart: Probability that a chain starts from `base` again.
        base: Distribution of the starts of new chains; in Python also any init distribution.

    Raises:
        UsageError: if a setting is outside its range, or more starts are drawn than the buffer holds.
    """

    shape: tuple[int, ...]
    _: KW_ONLY
    size: int = 10_000
    restart: float = 0.05
    base: Literal["uniform", "gaussian"] | InitDistribution = "uniform"
    _bank: Tensor | None = field(init=False, default=None, repr=False)
    _slots: Tensor | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        check("size", self.size, at_least=1)
        check("restart", self.restart, at_least=0, at_most=1)

    def sample(self, n: int, rng: Generator) -> Tensor:
        """`n` starts `(n, *shape)` from distinct slots; the buffer is unchanged until `remember`."""
        if n > self.size:
            raise UsageError(f"the replay buffer holds {self.size} chains, not {n}: write -s init.size={n} or more")
        base = self.noise_distribution()
        # A tensor made in inference mode could not be written to outside it.
        with torch.inference_mode(False):
            bank = base.sample(self.size, rng) if self._bank is None else self._bank.to(rng.device)
        slots = torch.randperm(self.size, generator=rng, device=rng.device)[:n]
        x = bank[slots]
        restarted = torch.rand(n, generator=rng, device=rng.device) < self.restart
        if count := int(restarted.sum()):
            x[restarted] = base.sample(count, rng)
        self._bank, self._slots = bank, slots
        return x

    def remember(self, x: Tensor) -> None:
        """Store `x` `(n, *shape)` in the slots that the last `sample` picked.

        Raises:
            ValueError: if nothing was drawn yet, or `x` has another shape than what was drawn.
        """
        if self._bank is None or self._slots is None:
            raise ValueError("remember was called before sample: there are no slots to store in")
        expected = (len(self._slots), *self.shape)
        if x.shape != expected:
            raise ValueError(f"sample drew examples of shape {expected}, but remember was given {tuple(x.shape)}")
        self._bank[self._slots] = x.detach().to(self._bank)

    def state_dict(self) -> dict[str, Tensor]:
        """The state of `base`, and the buffer itself `(size, *shape)`, not a copy, after the first `sample`."""
        base = {BASE + name: value for name, value in self.noise_distribution().state_dict().items()}
        return base if self._bank is None else {**base, "bank": self._bank}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a copy of a buffer, from any device.

        Raises:
            ValueError: if it has another size or shape.
        """
        bank = state.get("bank")
        expected = (self.size, *self.shape)
        if bank is not None and bank.shape != expected:
            raise ValueError(
                f"the replay buffer has shape {expected}, but the state contains one of shape {tuple(bank.shape)}"
            )
        if base := {name.removeprefix(BASE): value for name, value in state.items() if name.startswith(BASE)}:
            self.noise_distribution().load_state_dict(base)
        with torch.inference_mode(False):
            self._bank = None if bank is None else bank.detach().clone()
        self._slots = None

    def noise_distribution(self) -> InitDistribution:
        """The distribution of the starts of new chains."""
        if isinstance(self.base, InitDistribution):
            return self.base
        return Uniform(self.shape) if self.base == "uniform" else Gaussian(self.shape)
