"""Maximum likelihood with short-run chains: `Trainer.update` is algorithm 1 of the paper."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ebmkit.errors import UsageError, check
from ebmkit.interfaces import EnergyFn, InitDistribution, Sampler, energy_values, eval_mode
from ebmkit.methods.chains import follow


@dataclass(frozen=True, eq=False)
class Update:
    """The values of one update of the weights; tensors stay on their device, so that training need not wait for them.

    Attributes:
        index: The number of this update, from 1.
        loss: The loss that was minimised, a scalar; its value does not measure progress.
        real_energy: E of the batch before the update, `(B,)`.
        fake_energy: E of the ends of the chains before the update, `(B,)`.
        fake: Where the chains ended, `(B, *shape)`.
        gradient_norm: Norm of the gradient of the loss by all parameters, before clipping.
        chain: The scalars that `follow` measured along the chains.
    """

    index: int
    loss: Tensor
    real_energy: Tensor
    fake_energy: Tensor
    fake: Tensor
    gradient_norm: Tensor
    chain: dict[str, Tensor]

    @cached_property
    def scalars(self) -> dict[str, float]:
        """The scalars of this update by name, read from the device once, at the first access.

        `gap` is mean E(batch) - mean E(fake); all others are named as in this class and in `follow`.
        """
        real, fake = self.real_energy.mean(), self.fake_energy.mean()
        scalars = {"loss": self.loss, "gap": real - fake, "real_energy": real, "fake_energy": fake}
        scalars |= {"gradient_norm": self.gradient_norm, **self.chain}
        values = torch.stack([value.float() for value in scalars.values()]).tolist()
        return dict(zip(scalars, values, strict=True))


class Trainer:
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
        gradient_clip: Upper bound on the norm of the parameter gradient; None does not clip.
        average: Decay in (0, 1) of an exponential moving average of the weights; None keeps no average.
        schedule: Factor of the learning rate as a function of the index of the update, from 1.
        accelerate: Returns the energy for the chains of one update; by default the energy itself.

    Raises:
        UsageError: if a setting is out of range, or the optimiser has other parameters than the energy.
    """

    def __init__(
        self,
        energy: nn.Module,
        sampler: Sampler,
        init: InitDistribution,
        optimizer: torch.optim.Optimizer,
        rng: Generator,
        *,
        energy_l2: float = 0.0,
        gradient_clip: float | None = None,
        average: float | None = None,
        schedule: Callable[[int], float] | None = None,
        accelerate: Callable[[nn.Module], EnergyFn] | None = None,
    ) -> None:
        check("energy_l2", energy_l2, at_least=0)
        if gradient_clip is not None:
            check("gradient_clip", gradient_clip, above=0)
        check_optimizer(optimizer, energy)
        self.energy, self.sampler, self.init, self.optimizer, self.rng = energy, sampler, init, optimizer, rng
        self.energy_l2, self.gradient_clip = energy_l2, gradient_clip
        self.schedule, self.accelerate = schedule, accelerate
        self.averaged = moving_average(energy, average) if average is not None else None
        self.index = 0
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    @property
    def model(self) -> nn.Module:
        """The energy to evaluate and to keep: the averaged one if there is one."""
        return self.averaged.module if self.averaged is not None else self.energy

    def update(self, batch: Tensor) -> Update:
        """One update of the weights on real examples `(B, *shape)`: algorithm 1."""
        fake, chain = self.chains(len(batch))
        real_energy, fake_energy = energy_values(self.energy, batch), energy_values(self.energy, fake)
        loss = real_energy.mean() - fake_energy.mean()
        if self.energy_l2:
            loss = loss + self.energy_l2 * (real_energy.square() + fake_energy.square()).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        gradient_norm = self.clipped_norm()
        self.index += 1
        self.set_learning_rate()
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.energy)
        return Update(
            self.index, loss.detach(), real_energy.detach(), fake_energy.detach(), fake, gradient_norm.detach(), chain
        )

    def set_learning_rate(self) -> None:
        """Scale the learning rate by the factor of this update."""
        if self.schedule is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * self.schedule(self.index)

    def clipped_norm(self) -> Tensor:
        """Norm of the parameter gradient; a gradient with a larger norm than `gradient_clip` is scaled to that norm."""
        parameters = [parameter for parameter in self.energy.parameters() if parameter.grad is not None]
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        if self.gradient_clip is not None:
            nn.utils.clip_grads_with_norm_(parameters, self.gradient_clip, norm)
        return norm

    def chain_energy(self, model: nn.Module) -> EnergyFn:
        """The energy for the chains of `model`: the model itself, or what `accelerate` returns for it."""
        return self.accelerate(model) if self.accelerate is not None else model

    def chains(self, n: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Run `n` chains, store their ends in the init, and return the ends with what `follow` measured."""
        start = self.init.sample(n, self.rng)
        energy = self.chain_energy(self.energy)
        with eval_mode(energy):
            fake, chain = follow(start, self.sampler.chain(energy, start, self.rng))
        self.init.remember(fake)
        return fake, chain

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on, except the batches: tensors and plain types."""
        return {
            "index": self.index,
            "energy": self.energy.state_dict(),
            "average": self.averaged.state_dict() if self.averaged is not None else {},
            "optimizer": self.optimizer.state_dict(),
            "init": self.init.state_dict(),
            "rng": self.rng.get_state(),
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


def moving_average(energy: nn.Module, decay: float) -> AveragedModel:
    """A copy of `energy` with averaged weights: `average' = decay * average + (1 - decay) * weights`.

    Raises:
        UsageError: unless 0 < decay < 1.
    """
    check("average", decay, above=0, below=1)
    return AveragedModel(energy, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]
