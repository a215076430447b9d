"""The three interfaces: an energy, a sampler, and the distribution that its chains start from.

Sign: p(x) is proportional to exp(-E(x)), so low energy is likely. (The paper's f is -E.)

An energy is any callable `(B, *shape) -> (B,)` or `(B, 1)`; samplers require nothing else.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from numbers import Integral, Real
from typing import NamedTuple, Self

import torch
from torch import Generator, Tensor, nn

from ebmkit.errors import UsageError, check
from ebmkit.modes import eval_mode as eval_mode
from ebmkit.modes import in_eval_mode, one_thread

EnergyFn = Callable[[Tensor], Tensor]


class Energy(nn.Module, ABC):
    """A network for E in p(x) ∝ exp(-E(x)); built as `Energy(shape, *, settings...)`.

    Attributes:
        piecewise_linear: Whether E is piecewise linear in x, as with LeakyReLU: then dE/dx changes only at kinks.
    """

    piecewise_linear = False

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Energies `(B,)` of `x` `(B, *shape)`; that of an example must not depend on the others."""


class State(NamedTuple):
    """The state of the chains after a step, and what the step computed.

    Attributes:
        x: The examples after this step, `(B, *shape)`.
        info: `energy` `(B,)` and `gradient` `(B, *shape)` where the step began; samplers that accept or reject
            add `accepted` `(B,)`, and `nonfinite` `(B,)` for proposals whose energy is not finite.
    """

    x: Tensor
    info: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Promises:
    """What a sampler guarantees with its settings; `ebmkit.testing` tests every promise.

    Attributes:
        temperature: The T for which every step leaves exp(-E/T) invariant, also where E is infinite. None if the chain
            has no exact invariant distribution, as when nothing corrects its discretisation.
        reversible: Whether every step also satisfies detailed balance with that distribution.
        gradients: How many gradients one chain takes for each example. None if that is not known beforehand.
        stochastic: Whether the chain draws from `rng`.
        homogeneous: Whether every step is the same Markov kernel, so that a chain can be split into shorter ones.
        translates: Whether a step adds to x an amount that depends on x only through gradients and energies. Where
            these are constant in x, as between the kinks of a piecewise linear energy, a chain is then a translation.
    """

    temperature: float | None = None
    reversible: bool = False
    gradients: int | None = None
    stochastic: bool = True
    homogeneous: bool = False
    translates: bool = False

    def __post_init__(self) -> None:
        """Refuse what no sampler can promise.

        Raises:
            UsageError: for a value of another type or range, or reversibility without an invariant distribution.
        """
        for name in ("reversible", "stochastic", "homogeneous", "translates"):
            # By value and not by type: `noise > 0` is a bool of numpy if noise is a float of numpy.
            if getattr(self, name) not in (True, False):
                raise UsageError(f"the promise {name} must be True or False, not {getattr(self, name)!r}")
        for name, kind, expected in (
            ("temperature", Real, "a number above 0"),
            ("gradients", Integral, "an integer"),
        ):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
                raise UsageError(f"the promise {name} must be {expected} or None, not {value!r}")
        if self.temperature is not None:
            check("the promise temperature", self.temperature, above=0)
        if self.gradients is not None:
            check("the promise gradients", self.gradients, at_least=0)
        if self.reversible and self.temperature is None:
            raise UsageError(
                "reversible=True needs an invariant distribution: write Promises(temperature=T, reversible=True)"
            )


class Sampler(ABC):
    """A Markov chain on examples; built as `Sampler(*, settings...)`.

    A chain is a generator: momenta, caches and schedules are its local variables. Trajectories, thinning and
    diagnostics are the caller's `for` loop.

    Attributes:
        steps: K, the length of one chain; None if the sampler has no such setting.
        step_size: The step size; None if it is not one value for all steps.
        noise: Standard deviation of the noise that a step adds; None if it is not one value for all steps.
    """

    steps: int | None = None
    step_size: float | None = None
    noise: float | None = None

    @property
    def implied_temperature(self) -> float | None:
        """The T of the density exp(-E/T) that the settings imply, even if chains do not reach it; None if unknown."""
        return None

    @property
    def promises(self) -> Promises:
        """What the sampler guarantees beyond the interface; nothing by default."""
        return Promises()

    @property
    def noiseless(self) -> "Sampler | None":
        """This sampler without its noise, which then draws nothing; None if that is not defined."""
        return None

    @abstractmethod
    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        """Yield the state after every step of the chain that starts at `x` `(B, *shape)`.

        Args:
            energy: Any callable `(B, *shape) -> (B,)` or `(B, 1)`.
            x: Where the chains start; it is not modified. If it requires a gradient, so does every state: the chain
                can then be differentiated.
            rng: The only source of randomness, on the device of `x`.
        """

    def with_steps(self, steps: int) -> Self:
        """This sampler with chains of `steps` steps.

        Raises:
            UsageError: if it is not a dataclass with the setting `steps`, or the value is out of range.
        """
        if not is_dataclass(self) or "steps" not in [field.name for field in fields(self) if field.init]:
            raise UsageError(
                f"{type(self).__name__} has no setting `steps`: the length of its chains cannot be changed"
            )
        return replace(self, steps=steps)

    def sample(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Tensor:
        """The ends of the chains `(B, *shape)`; the arguments are those of `chain`."""
        with eval_mode(energy):
            for state in self.chain(energy, x, rng):
                x = state.x
        return x


class InitDistribution(ABC):
    """p_0, the distribution of the starts of chains; built as `InitDistribution(shape, *, settings...)`."""

    @property
    def centre(self) -> Tensor | float:
        """The mean of p_0, which interpolation between two starts must keep; 0 where it is not known."""
        return 0.0

    @abstractmethod
    def sample(self, n: int, rng: Generator) -> Tensor:
        """`n` starts `(n, *shape)`, on the device of `rng`."""

    def in_batches(self, n: int, rng: Generator, batch: int) -> Iterator[Tensor]:
        """`n` starts, at most `batch` at a time: a replay buffer may hold no more."""
        return (self.sample(min(batch, n - drawn), rng) for drawn in range(0, n, batch))

    def noise_distribution(self) -> "InitDistribution":
        """What an evaluation compares samples with: this distribution, unless its starts are not noise."""
        return self

    def remember(self, x: Tensor) -> None:  # noqa: B027 - only a replay buffer overrides this
        """Store the ends of chains `(n, *shape)` in a replay buffer; does nothing in any other distribution."""

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint must contain for a resumed run to draw the same: stored chains, what was fitted to data."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        if state:
            raise ValueError(f"{type(self).__name__} has no state, but was given {sorted(state)}")


def energy_values(energy: EnergyFn, x: Tensor) -> Tensor:
    """E(x) as `(B,)`, from an energy that returns `(B,)` or `(B, 1)`. A module computes for one thread at a time.

    Under `torch.no_grad()` and `torch.inference_mode()` there is no graph; an energy that differentiates in its
    `forward` has one while it computes.

    Raises:
        ValueError: if it returns any other shape.
    """
    with one_thread(energy):
        value = _values(energy, x)
    if value.shape == x.shape[:1]:
        return value
    if value.shape == (len(x), 1):
        return value.squeeze(1)
    raise ValueError(
        f"the energy returned shape {tuple(value.shape)} for x of shape {tuple(x.shape)}; "
        f"expected one energy per example, ({len(x)},) or ({len(x)}, 1)"
    )


NO_GRAPH = "does not require grad"  # what autograd says of a graph that was not recorded


def _values(energy: EnergyFn, x: Tensor) -> Tensor:
    """What the energy returns; a second time with autograd enabled if it needs that and the caller does not."""
    if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
        return energy(x)
    # What a module keeps of a pass in inference mode, autograd could not use later.
    with torch.inference_mode(False), torch.no_grad():
        x = x.clone() if x.is_inference() else x
        try:
            return energy(x)
        except RuntimeError as error:
            if NO_GRAPH not in str(error):
                raise
            with torch.enable_grad():
                return energy(x.detach()).detach()


def value_and_grad(energy: EnergyFn, x: Tensor) -> tuple[Tensor, Tensor]:
    """E(x) `(B,)` and dE/dx `(B, *shape)`: samplers evaluate an energy through this function only.

    The results have no graph unless `x` requires a gradient; then both can be differentiated again. It works the same
    under `torch.no_grad()` and `torch.inference_mode()`. A module is in evaluation mode during the call (no dropout,
    running statistics unchanged); its mode is restored afterwards, also after an exception. It computes for one thread
    at a time.

    If the energy has a method `value_and_grad`, its results are returned.

    Raises:
        ValueError: if the energy does not return one value per example, or its value does not depend on `x`.
    """
    own: Callable[[Tensor], tuple[Tensor, Tensor]] | None = getattr(energy, "value_and_grad", None)
    if own is not None:
        return own(x)
    # The contexts are entered only if they change something: they cost a fifth of the passes of a small network.
    if torch.is_grad_enabled() and not torch.is_inference_mode_enabled() and in_eval_mode(energy):
        return _passes(energy, x)
    with torch.inference_mode(False), torch.enable_grad(), eval_mode(energy):
        return _passes(energy, x)


def _passes(energy: EnergyFn, x: Tensor) -> tuple[Tensor, Tensor]:
    """`value_and_grad` with autograd enabled and the energy in evaluation mode."""
    if x.is_inference():
        x = x.clone()
    differentiable = x.requires_grad
    leaf = x if differentiable else x.detach().requires_grad_()
    # Also for the backward pass: what was not kept is computed again there.
    with one_thread(energy):
        value = energy_values(energy, leaf)
        gradient = None
        if value.requires_grad:
            ones = torch.ones_like(value)
            (gradient,) = torch.autograd.grad(value, leaf, ones, create_graph=differentiable, allow_unused=True)
    if gradient is None:
        raise ValueError("the energy does not depend on x through autograd: does it detach x, or use numpy?")
    return (value, gradient) if differentiable else (value.detach(), gradient)


def noise_like(x: Tensor, rng: Generator) -> Tensor:
    """Standard normal noise of the shape, dtype and device of `x`.

    The values are drawn in contiguous order, so that they do not depend on the memory format of `x`.
    """
    return torch.empty_like(x, memory_format=torch.contiguous_format).normal_(generator=rng)


def per_example(x: Tensor, values: Tensor) -> Tensor:
    """`values` `(B,)` as a view that broadcasts against `x` `(B, *shape)`."""
    return values.view(-1, *[1] * (x.ndim - 1))
