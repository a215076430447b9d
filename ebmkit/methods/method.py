"""The interface of a method of training: what it works with, its update, its state, and what can be drawn from it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Literal, NamedTuple

from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from ebmkit.errors import UsageError, check, naming_failure
from ebmkit.methods.averaging import Average
from ebmkit.methods.chains import MEASURED
from ebmkit.methods.clipping import RunningBound
from ebmkit.methods.roles import Role
from ebmkit.methods.sharing import Sharing, moved_by
from ebmkit.methods.stateful import Stateful
from ebmkit.methods.update import Update
from ebmkit.modes import training_mode
from ebmkit.processes import Processes
from ebmkit.shortrun import ShortRun

Clip = float | Literal["auto"]


class Descent(NamedTuple):
    """One step of an optimiser.

    Attributes:
        norm: Norm of the gradient of the loss, before clipping.
        scale: The factor that the gradient was scaled by, where the bound follows the run; else None.
        scalars: The loss, as `loss`, and the scalars that were given with it: means over all processes.
    """

    norm: Tensor
    scale: Tensor | None
    scalars: Mapping[str, Tensor]


class Method(Stateful, ABC):
    """A method of training; built as `Method(parts, shape, *, settings...)`, with the facts that it asks for.

    The constructor makes the parts, each as an attribute with the name of its role: `self.energy = parts.energy()`.
    Every attribute that has a state is saved in checkpoints and restored from them: networks, optimisers, inits,
    generators of random numbers, and whatever else has `state_dict` and `load_state_dict`. A model that is opened to
    draw from is built by the same constructor.

    Attributes:
        roles: The parts that it works with, by section. The data of a run are the section `data` of every method.
        defaults: Default settings of the section `train`, where they are not the usual ones.
        uses: Those settings of `train` that only some methods have, and that this one uses: first_steps,
            full_steps_from, energy_l2, gradient_penalty.
        rng: The only source of randomness of updates, on the device of the run.
        gradient_penalty: The weight of the gradient penalty, which a rollback raises; None for a method without one.
        steps: The number of steps of a chain as a function of the index of the update; None if it does not change.
        phases: After how many updates the method goes on in another way, from 0: its phases, each of which is tried
            before a run and timed by `--dry-run`.
        classes: How many classes its labels may be of, as the setting `method.classes` says; None for any number.
        drawing: Those settings of the method that change only what is drawn from its models, which commands that draw
            may change.
        terms: The names of the further scalars that its updates report, besides those of maximum likelihood.
        sharing: What several processes share in an update.
    """

    roles: ClassVar[Mapping[str, Role]] = {}
    defaults: ClassVar[Mapping[str, Any]] = {}
    uses: ClassVar[Sequence[str]] = ()
    drawing: ClassVar[Sequence[str]] = ()
    terms: ClassVar[Sequence[str]] = ()
    rng: Generator
    sharing: Sharing
    gradient_clip: Clip | None = None
    clip_factor = 1.5
    schedule: Callable[[int], float] | None = None
    gradient_penalty: float | None = None
    steps: Callable[[int], int] | None = None
    phases: Sequence[int] = (0,)
    classes: int | None = None

    @abstractmethod
    def update(self, batch: Tensor, *args: Any, **kwargs: Any) -> Update:
        """One update of the weights, for examples `(B, *shape)`; it ends with `return self.finish(...)`.

        A method may ask for further facts about the batch by the names of further parameters: `labels`, the classes
        `(B,)`, and `indices`, where the examples are in the data, `(B,)`; both are on the device of the batch.
        """

    @abstractmethod
    def short_run_of(self, networks: Mapping[str, nn.Module]) -> ShortRun:
        """What can be drawn, as a chain from starts to examples.

        Args:
            networks: The networks to draw with, by the names of their attributes: the last ones, or their averages.
        """

    @classmethod
    def continued(cls, settings: Mapping[str, Any], updates: int) -> Mapping[str, Any]:
        """The settings in which a run that starts from another differs from it, as after `train --from`.

        A method of several phases says here how the new run does not begin with the first again.

        Args:
            settings: Those of the section `method` of the other run.
            updates: How many updates the other run had made.
        """
        return {}

    def short_run(self) -> ShortRun:
        """What can be drawn now: with the averages of the networks if the run keeps them."""
        return self.short_run_of(self.kept)

    def begin(
        self,
        rng: Generator,
        *,
        gradient_clip: Clip | None = None,
        clip_factor: float = 1.5,
        average: float | None = None,
        schedule: Callable[[int], float] | None = None,
        processes: Processes | None = None,
    ) -> None:
        """Make ready for the first update; whoever builds a method calls this once, after its constructor.

        Args:
            rng: Randomness of the updates, on the device of the networks.
            gradient_clip: Upper bound on the norm of each gradient of parameters; "auto" is `RunningBound`; None does
                not clip.
            clip_factor: The bound of "auto", in medians of the last norms.
            average: Decay in (0, 1) of an exponential moving average of each network; None keeps none.
            schedule: Factor of the learning rates as a function of the index of the update, from 1.
            processes: Those that make each update together, each with a part of the batch; None is only this one.

        Raises:
            UsageError: if a setting is out of range.
        """
        networks, optimizers = list(self.networks.values()), list(self.optimizers.values())
        self.sharing = Sharing(networks, optimizers, processes or Processes(), self.terms)
        if gradient_clip == "auto":
            self.bounds = {name: RunningBound(clip_factor, rng.device) for name in self.optimizers}
        else:
            self.bounds = {}
            if gradient_clip is not None:
                check("gradient_clip", gradient_clip, above=0)
        self.rng, self.gradient_clip, self.clip_factor, self.schedule = rng, gradient_clip, clip_factor, schedule
        self.averages = {} if average is None else averages(self.networks, average)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])

    @contextmanager
    def training(self) -> Iterator[None]:
        """A block in which the networks are in training mode, also if other threads draw from them meanwhile."""
        with ExitStack() as stack:
            for network in self.networks.values():
                stack.enter_context(training_mode(network))
            yield

    def descend(self, loss: Tensor, optimizer: Optimizer, scalars: Mapping[str, Tensor] | None = None) -> Descent:
        """One step of an optimiser along the gradient of a loss by its parameters, clipped and scheduled.

        Of several processes, each makes the same step, along the mean of their gradients.

        Args:
            loss: The loss, a scalar.
            optimizer: One of the attributes of this method.
            scalars: Values to report with the update: `real_energy`, `fake_energy`, what `follow` measured, and those
                that `terms` names.

        Raises:
            UsageError: for a scalar of another name.
        """
        own = {"loss": loss, **(scalars or {})}
        if others := [name for name in own if name not in self.sharing.names]:
            raise UsageError(f"{type(self).__name__} reports '{others[0]}', which `terms` does not name: {self.terms}")
        optimizer.zero_grad()
        # Without `inputs`, which would skip an operation that refuses to be differentiated twice. Gradients of other
        # weights are removed before their own step.
        loss.backward()  # type: ignore[no-untyped-call]
        means = {name: value.detach() for name, value in self.sharing.mean(own, optimizer).items()}
        norm, scale = self.clip(optimizer, [weight for weight in moved_by(optimizer) if weight.grad is not None])
        factor = self.rate_factor(optimizer)
        if factor is not None:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
        optimizer.step()
        return Descent(norm, scale, means)

    def rate_factor(self, optimizer: Optimizer) -> float | None:
        """The factor of the learning rate of an optimiser in the next update; None leaves the rate as it is.

        It is that of the setting `train.lr_schedule`; a method with a schedule of its own overrides it.
        """
        return None if self.schedule is None else self.schedule(self.index + 1)

    def clip(self, optimizer: Optimizer, parameters: list[nn.Parameter]) -> tuple[Tensor, Tensor | None]:
        """Clip the gradient of the parameters of an optimiser: its norm before, and the factor of a running bound."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        scale = None
        if self.bounds:
            name = next(name for name, one in self.optimizers.items() if one is optimizer)
            scale = self.bounds[name].scale(gradients, norm)
        elif isinstance(self.gradient_clip, int | float):
            nn.utils.clip_grads_with_norm_(parameters, self.gradient_clip, norm)
        return norm.detach(), scale

    def finish(self, descent: Descent, **values: Any) -> Update:
        """Count the update, bring the averages up to date, and give the values of the update.

        Args:
            descent: What `descend` returned; of several, that of the loss to report.
            **values: Further attributes of `Update`, as `fake`; tensors are detached.
        """
        self.index += 1
        for name, average in self.averages.items():
            average.update_parameters(self.networks[name])
        means = dict(descent.scalars)
        energies = ("real_energy", "fake_energy")
        shared = (means[energies[0]], means[energies[1]]) if all(name in means for name in energies) else None
        found = {
            "loss": means.pop("loss"),
            "gradient_norm": descent.norm,
            "gradient_scale": descent.scale,
            "chain": {name: means[name] for name in means if name in MEASURED},
            "means": shared,
            "terms": {name: means[name] for name in means if name in self.terms},
        }
        own = {name: one.detach() if graphed(one) else one for name, one in values.items()}
        return Update(index=self.index, **{**found, **own})

    @property
    def passes_outside(self) -> int:
        """Passes of the next update through its networks, besides those of its chains; 0 if it does not say."""
        return 0

    @property
    def kept(self) -> dict[str, nn.Module]:
        """The networks to evaluate and to draw with, by name: their averages if there are any."""
        return {name: self.averages[name].module if self.averages else one for name, one in self.networks.items()}


def graphed(value: Any) -> bool:
    """Whether a value is a tensor with a graph."""
    return isinstance(value, Tensor) and value.requires_grad


def averages(networks: Mapping[str, nn.Module], decay: float) -> dict[str, Average]:
    """A moving average of each network, by name.

    Raises:
        UsageError: unless 0 < decay < 1, or for a network that cannot be copied.
    """
    found = {}
    for name, network in networks.items():
        with naming_failure(f"average needs a copy of {name} {type(network).__name__}, which cannot be copied"):
            found[name] = Average(network, decay)
    return found
