"""The energies of all noise levels, of one network: marginal, and conditional on an example at the level above."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ebmkit import EnergyFn, per_example
from ebmkit.passes import CountedEnergy
from ebmkit_recovery.levels import Levels

Chains = Callable[[nn.Module], Callable[[nn.Module], EnergyFn]]  # `Parts.chains`
OnPass = Callable[[], None]
Given = Callable[[Tensor, Tensor], EnergyFn]  # the energy that undoes a level, given x_{t+1} and t


class GivenNoisier(nn.Module):
    """`U(v) = E(y, t) + pull |x_{t+1} - y|² / 2` at `y = length v`: -log p(y | x_{t+1}) in the units of chains.

    Example i has its own noisier version and its own level. In units of `length`, which grows with the level, one step
    size serves chains at all levels.

    Args:
        network: f, `(B, *shape), (B,) -> (B, 1)`; E(y, t) = -f(y, t) strength / length².
        levels: The noise levels.
        strength: The factor of f in energies.
        noisier: x_{t+1}, `(B, *shape)`.
        level: t, `(B,)`.
    """

    noisier: Tensor
    level: Tensor
    length: Tensor
    pull: Tensor
    weight: Tensor

    def __init__(self, network: nn.Module, levels: Levels, strength: float, noisier: Tensor, level: Tensor) -> None:
        super().__init__()
        self.network = network
        length = levels.length[level]
        # Buffers, which the stand-in of the chains copies; they are no part of the state.
        values = {
            "noisier": noisier,
            "level": level,
            "length": per_example(noisier, length),
            "pull": levels.pull[level] / 2,
            "weight": strength / length.square(),
        }
        for name, value in values.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, v: Tensor) -> Tensor:
        """Energies `(B,)` of states of chains `(B, *shape)`."""
        y = self.length * v
        far = (self.noisier - y).square().flatten(1).sum(1)
        energy: Tensor = self.pull * far - self.weight * self.network(y, self.level).squeeze(1)
        return energy


class LevelEnergies(nn.Module):
    """The energies of a trained network: of examples, at the lowest level, and the conditional ones that a walk needs.

    Args:
        network: f, `(B, *shape), (B,) -> (B, 1)`.
        levels: The noise levels.
        strength: The factor of f in energies.
        chains: Gives how chains compute an energy, as `Parts.chains`.
        on_pass: Called at every pass of a walk; None where nobody counts.
    """

    def __init__(
        self, network: nn.Module, levels: Levels, strength: float, chains: Chains, on_pass: OnPass | None = None
    ) -> None:
        super().__init__()
        self.network, self.levels, self.strength, self.chains, self.on_pass = network, levels, strength, chains, on_pass
        self.idle: dict[torch.Size, list[Callable[[nn.Module], EnergyFn]]] = {}

    def forward(self, x: Tensor) -> Tensor:
        """E(x) `(B,)` of examples `(B, *shape)`: -log of the density at the lowest level, plus a constant."""
        level = torch.zeros(len(x), dtype=torch.long, device=x.device)
        weight = self.strength / self.levels.length[0].square()
        energy: Tensor = -weight * self.network(self.levels.scale[0] * x, level).squeeze(1)
        return energy

    def counted(self, on_pass: OnPass) -> "LevelEnergies":
        """These energies with a function that is called at every pass of a walk."""
        return LevelEnergies(self.network, self.levels, self.strength, self.chains, on_pass)

    @contextmanager
    def conditionals(self, x: Tensor) -> Iterator[Given]:
        """A block with the conditional energies for one walk from `x` `(B, *shape)`.

        Walks may run in threads, so each has a stand-in for itself; later walks of as many examples use it again.
        """
        idle = self.idle.setdefault(x.shape, [])
        try:
            stand_in = idle.pop()
        except IndexError:
            stand_in = None

        def given(noisier: Tensor, level: Tensor) -> EnergyFn:
            nonlocal stand_in
            energy: Any = GivenNoisier(self.network, self.levels, self.strength, noisier, level)
            if not noisier.requires_grad:  # a stand-in has no graph
                stand_in = stand_in or self.chains(energy)
                energy = stand_in(energy)
            return energy if self.on_pass is None else CountedEnergy(energy, self.on_pass)

        try:
            yield given
        finally:
            if stand_in is not None:
                idle.append(stand_in)
