"""Maximum likelihood with short-run chains: `Trainer.update` is algorithm 1 of the paper."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from ebmkit.errors import UsageError, check
from ebmkit.interfaces import EnergyFn, InitDistribution, Sampler, energy_values, eval_mode
from ebmkit.methods.averaging import Average
from ebmkit.methods.chains import follow
from ebmkit.methods.clipping import RunningBound
from ebmkit.methods.penalties import slopes
from ebmkit.methods.sharing import Sharing
from ebmkit.modes import training_mode
from ebmkit.processes import Processes

Clip = float | Literal["auto"]


@dataclass(frozen=True, eq=False)
class Update:
    """The values of one update of the weights; tensors stay on their device, so that training need not wait for them.

    Of several processes, each has its part of the batch; scalars are means over all of them, the same bits in each.

    Attributes:
        index: The number of this update, from 1.
        loss: The loss that was minimised, a scalar; its value does not measure progress.
        real_energy: E of the batch before the update, `(B,)`.
        fake_energy: E of the ends of the chains before the update, `(B,)`.
        fake: Where the chains ended, `(B, *shape)`.
        gradient_norm: Norm of the gradient of the loss by all parameters, before clipping.
        chain: The scalars that `follow` measured along the chains.
        gradient_scale: The factor that clipping scaled the gradient by; only where the bound is not a setting.
        means: Mean `real_energy` and `fake_energy` over all processes; None computes them from those of this one.
    """

    index: int
    loss: Tensor
    real_energy: Tensor
    fake_energy: Tensor
    fake: Tensor
    gradient_norm: Tensor
    chain: dict[str, Tensor]
    gradient_scale: Tensor | None = None
    means: tuple[Tensor, Tensor] | None = None

    @cached_property
    def scalars(self) -> dict[str, float]:
        """The scalars of this update by name, read from the device once, at the first access.

        `gap` is mean E(batch) - mean E(fake); all others are named as in this class and in `follow`.
        """
        real, fake = self.means or (self.real_energy.mean(), self.fake_energy.mean())
        scalars = {"loss": self.loss, "gap": real - fake, "real_energy": real, "fake_energy": fake}
        scalars |= {"gradient_norm": self.gradient_norm, **self.chain}
        if self.gradient_scale is not None:
            scalars["gradient_scale"] = self.gradient_scale
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
        self.running_bound: RunningBound | None = None
        if gradient_clip == "auto":
            self.running_bound = RunningBound(clip_factor, rng.device)
        elif gradient_clip is not None:
            check("gradient_clip", gradient_clip, above=0)
        check_optimizer(optimizer, energy)
        if steps is not None:
            sampler.with_steps(steps(1))  # a sampler that cannot do this is refused here
        self.energy, self.sampler, self.init, self.optimizer, self.rng = energy, sampler, init, optimizer, rng
        self.energy_l2, self.gradient_penalty = energy_l2, gradient_penalty
        self.gradient_clip, self.steps = gradient_clip, steps
        self.schedule, self.accelerate = schedule, accelerate
        self.averaged = Average(energy, average) if average is not None else None
        self.sharing = Sharing(energy, processes or Processes())
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
        # Other threads may draw from the energy meanwhile.
        with training_mode(self.energy):
            return self.follow_gradient(batch, fake, chain)

    def follow_gradient(self, batch: Tensor, fake: Tensor, chain: dict[str, Tensor]) -> Update:
        """The update for samples `fake` `(B, *shape)`, with what was measured along their chains."""
        real_energy, penalty = self.real_energy(batch)
        fake_energy = energy_values(self.energy, fake)
        loss = real_energy.mean() - fake_energy.mean() + penalty
        if self.energy_l2:
            loss = loss + self.energy_l2 * (real_energy.square() + fake_energy.square()).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        own = {"loss": loss, "real_energy": real_energy.mean(), "fake_energy": fake_energy.mean(), **chain}
        means = {name: value.detach() for name, value in self.sharing.mean(own).items()}
        gradient_norm, gradient_scale = self.clip()
        self.index += 1
        self.set_learning_rate()
        self.optimizer.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.energy)
        return Update(
            index=self.index,
            loss=means["loss"],
            real_energy=real_energy.detach(),
            fake_energy=fake_energy.detach(),
            fake=fake,
            gradient_norm=gradient_norm.detach(),
            chain={name: means[name] for name in chain},
            gradient_scale=gradient_scale,
            means=(means["real_energy"], means["fake_energy"]),
        )

    def real_energy(self, batch: Tensor) -> tuple[Tensor, Tensor | float]:
        """E of the batch `(B,)`, and the penalty on its slope there."""
        if not self.gradient_penalty:
            return energy_values(self.energy, batch), 0.0
        values, squares = slopes(self.energy, batch)
        return values, self.gradient_penalty / 2 * squares.mean()

    def set_learning_rate(self) -> None:
        """Scale the learning rate by the factor of this update."""
        if self.schedule is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"] * self.schedule(self.index)

    def clip(self) -> tuple[Tensor, Tensor | None]:
        """Clip the parameter gradient: its norm before, and the factor of a bound that follows the run."""
        parameters = [parameter for parameter in self.energy.parameters() if parameter.grad is not None]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self.running_bound is not None:
            return norm, self.running_bound.scale(gradients, norm)
        if isinstance(self.gradient_clip, int | float):
            nn.utils.clip_grads_with_norm_(parameters, self.gradient_clip, norm)
        return norm, None

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
