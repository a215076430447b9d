"""Maximum likelihood with short-run chains: `Trainer.update` is algorithm 1 of the paper."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ebmkit.errors import UsageError, check
from ebmkit.interfaces import EnergyFn, InitDistribution, Sampler, energy_values, eval_mode
from ebmkit.methods.averaging import Average
from ebmkit.methods.chains import follow
from ebmkit.methods.clipping import RunningBound
from ebmkit.methods.method import Clip, Method
from ebmkit.methods.penalties import penalised
from ebmkit.methods.update import Update
from ebmkit.processes import Processes
from ebmkit.shortrun import ShortRun


class Trainer(Method):
    """Follows the maximum-likelihood gradient, with the ends of short chains in place of exact samples.

    One update is `θ' = θ - optimizer(d/dθ [mean E(batch) - mean E(fake)])`, where `fake` are the ends of K-step chains
    that start from `init`.

    Source: Nijkamp, Hill, Zhu, Wu, NeurIPS 2019, algorithm 1 (its f is our -E).

    Args:
        energy: Any module `(B, *shape) -> (B,)` or `(B, 1)`.
        sampler: Makes the chains.
        init: Where the chains start.
        optimizer: Of the parameters of the energy; `schedule` scales its learning rate.
        rng: Randomness of the starts and the chains, on the device of the energy.
        energy_l2: Weight of `mean(E(batch)² + E(fake)²)` in the loss (Du & Mordatch 2019); 0 omits it.
        gradient_penalty: Weight λ of `λ/2 mean |dE/dx|²` over the batch in the loss (R1 of Mescheder et al. 2018); 0
            omits it.
        gradient_clip: Upper bound on the norm of the parameter gradient; "auto" is `RunningBound`; None does not clip.
        clip_factor: The bound of "auto", in medians of the last norms.
        steps: The number of steps of a chain as a function of the index of the update, from 1; None always uses the
            sampler as it is.
        average: Decay in (0, 1) of an exponential moving average of the weights; None keeps no average.
        schedule: Factor of the learning rate as a function of the index of the update, from 1.
        accelerate: Returns the energy for the chains of one update; by default the energy itself.
        processes: Those that make each update together, each with a part of the batch; None is only this one.

    Raises:
        UsageError: if a setting is out of range, or the optimiser has other parameters than the energy.
    """

    gradient_penalty: float

    def __init__(
        self,
        energy: nn.Module,
        sampler: Sampler,
        init: InitDistribution,
        optimizer: torch.optim.Optimizer,
        rng: Generator,
        *,
        energy_l2: float = 0.0,
        gradient_penalty: float = 0.0,
        gradient_clip: Clip | None = None,
        clip_factor: float = 1.5,
        steps: Callable[[int], int] | None = None,
        average: float | None = None,
        schedule: Callable[[int], float] | None = None,
        accelerate: Callable[[nn.Module], EnergyFn] | None = None,
        processes: Processes | None = None,
    ) -> None:
        check("energy_l2", energy_l2, at_least=0)
        check("gradient_penalty", gradient_penalty, at_least=0)
        check_optimizer(optimizer, energy)
        if steps is not None:
            sampler.with_steps(steps(1))  # a sampler that cannot do this is refused here
        self.energy, self.sampler, self.init, self.optimizer = energy, sampler, init, optimizer
        self.energy_l2, self.gradient_penalty = energy_l2, gradient_penalty
        self.steps, self.accelerate = steps, accelerate
        self.begin(
            rng,
            gradient_clip=gradient_clip,
            clip_factor=clip_factor,
            average=average,
            schedule=schedule,
            processes=processes,
        )

    @property
    def averaged(self) -> Average | None:
        """The moving average of the energy, if there is one."""
        return self.averages.get("energy")

    @property
    def running_bound(self) -> RunningBound | None:
        """The bound on the parameter gradient that follows the run, if there is one."""
        return self.bounds.get("optimizer")

    @property
    def model(self) -> nn.Module:
        """The energy to evaluate and to keep: the averaged one if there is one."""
        return self.kept["energy"]

    @property
    def passes_outside(self) -> int:
        """Passes of an update besides those of its chains: on the batch, on the samples, and for the penalty."""
        return 3 if self.gradient_penalty else 2

    def update(self, batch: Tensor) -> Update:
        """One update of the weights on real examples `(B, *shape)`: algorithm 1."""
        fake, chain = self.chains(len(batch))
        with self.training():
            return self.follow_gradient(batch, fake, chain)

    def follow_gradient(self, batch: Tensor, fake: Tensor, chain: dict[str, Tensor]) -> Update:
        """The update for samples `fake` `(B, *shape)`, with what was measured along their chains."""
        real_energy, penalty = penalised(self.energy, batch, self.gradient_penalty)
        fake_energy = energy_values(self.energy, fake)
        loss = real_energy.mean() - fake_energy.mean() + penalty
        if self.energy_l2:
            loss = loss + self.energy_l2 * (real_energy.square() + fake_energy.square()).mean()
        scalars = {"real_energy": real_energy.mean(), "fake_energy": fake_energy.mean(), **chain}
        descent = self.descend(loss, self.optimizer, scalars)
        return self.finish(descent, real_energy=real_energy, fake_energy=fake_energy, fake=fake)

    def chain_energy(self, model: nn.Module) -> EnergyFn:
        """The energy for the chains of `model`: the model itself, or what `accelerate` returns for it."""
        return self.accelerate(model) if self.accelerate is not None else model

    def chains(self, n: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Run `n` chains, store their ends in the init, and return the ends with what `follow` measured."""
        sampler = self.sampler if self.steps is None else self.sampler.with_steps(self.steps(self.index + 1))
        start = self.init.sample(n, self.rng)
        energy = self.chain_energy(self.energy)
        with eval_mode(energy):
            fake, chain = follow(start, sampler.chain(energy, start, self.rng))
        self.init.remember(fake)
        return fake, chain

    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ShortRun:
        """The K-step chain on the energy."""
        return ShortRun(self.chain_energy(networks["energy"]), self.sampler, self.init)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, except the batches: tensors and plain types."""
        bound = {} if self.running_bound is None else {"gradient_norms": self.running_bound.norms}
        return {
            "index": self.index,
            "energy": self.energy.state_dict(),
            "average": self.averaged.state_dict() if self.averaged is not None else {},
            "optimizer": self.optimizer.state_dict(),
            "init": self.init.state_dict(),
            "rng": self.rng.get_state(),
            **bound,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned, bit for bit."""
        self.index = state["index"]
        self.energy.load_state_dict(state["energy"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.init.load_state_dict(state["init"])
        self.rng.set_state(state["rng"].cpu())
        if self.running_bound is not None:
            self.running_bound.norms = state["gradient_norms"].to(self.running_bound.norms)


def check_optimizer(optimizer: torch.optim.Optimizer, energy: nn.Module) -> None:
    """Refuse an optimiser of other parameters than the energy's; it may have only some of these.

    Raises:
        UsageError: saying how many of its parameters are not the energy's.
    """
    own = set(energy.parameters())
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    others = sum(parameter not in own for parameter in held)
    if others:
        raise UsageError(
            f"{others} of the {len(held)} parameters of the optimizer are not those of the energy: make it with "
            "energy.parameters(), of the same energy and after the last change of its layers"
        )
