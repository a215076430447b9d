"""A bank of past chains as p_0: persistent contrastive divergence."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError, check
from ebmkit.inits.gaussian import Gaussian
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import InitDistribution


@dataclass(eq=False)
class ReplayBuffer(InitDistribution):
    """Chains start where earlier ones ended, kept in a bank; now and then one starts anew.

    The bank is filled from `base` at the first draw. A draw takes distinct slots, and starts each chain anew from
    `base` with probability `restart`, independently; `remember` then writes the ends of the chains to these slots.

    Source: Tieleman, ICML 2008 (persistent chains); Du & Mordatch, NeurIPS 2019 (bank of 10,000, restart 0.05).

    Args:
        size: How many examples the bank holds.
        restart: Probability that a chain starts anew from `base`.
        base: Where new chains start; in Python also any init distribution.

    Raises:
        UsageError: if a setting is outside its range, or more chains are asked for than the bank holds.
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
        """`n` starts `(n, *shape)` from distinct slots; the bank stays as it is until `remember`."""
        if n > self.size:
            raise UsageError(f"the bank holds {self.size} chains, not {n}; write -s init.size={n} or more")
        base = self._base()
        # A tensor born in inference mode could not be written to outside of it.
        with torch.inference_mode(False):
            bank = base.sample(self.size, rng) if self._bank is None else self._bank.to(rng.device)
        slots = torch.randperm(self.size, generator=rng, device=rng.device)[:n]
        x = bank[slots]
        anew = torch.rand(n, generator=rng, device=rng.device) < self.restart
        if count := int(anew.sum()):
            x[anew] = base.sample(count, rng)
        self._bank, self._slots = bank, slots
        return x

    def remember(self, x: Tensor) -> None:
        """Write `x` `(n, *shape)` to the slots that the last `sample` drew.

        Raises:
            ValueError: if nothing was drawn yet, or `x` has not the shape of what was drawn.
        """
        if self._bank is None or self._slots is None:
            raise ValueError("remember was called before sample: there are no slots to write to")
        expected = (len(self._slots), *self.shape)
        if x.shape != expected:
            raise ValueError(f"sample drew examples of shape {expected}, but remember was given {tuple(x.shape)}")
        self._bank[self._slots] = x.detach().to(self._bank)

    def state_dict(self) -> dict[str, Tensor]:
        """The bank itself `(size, *shape)`, not a copy; nothing before the first draw."""
        return {} if self._bank is None else {"bank": self._bank}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a copy of a bank, from any device.

        Raises:
            ValueError: if the bank has not this size and shape.
        """
        bank = state.get("bank")
        expected = (self.size, *self.shape)
        if bank is not None and bank.shape != expected:
            raise ValueError(f"the bank has shape {expected}, but the state holds one of shape {tuple(bank.shape)}")
        with torch.inference_mode(False):
            self._bank = None if bank is None else bank.detach().clone()
        self._slots = None

    def _base(self) -> InitDistribution:
        if isinstance(self.base, InitDistribution):
            return self.base
        return Uniform(self.shape) if self.base == "uniform" else Gaussian(self.shape)
