"""Two right samplers in pieces, and faults planted in them, each with exactly the checks that must fail for it."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ebmkit.interfaces import (
    EnergyFn,
    Promises,
    Sampler,
    State,
    evaluate,
    evaluating,
    noise_like,
    per_example,
    value_and_grad,
)


@dataclass(frozen=True, kw_only=True)
class Plain(Sampler):
    """Langevin dynamics, right, in pieces that a fault can replace.

    Args:
        steps: How many steps one chain takes.
        noise: Standard deviation of a step's noise.
    """

    steps: int = 10
    noise: float = 0.3

    def __post_init__(self) -> None:
        if not self.noise >= 0:
            raise ValueError(f"noise must be at least 0, not {self.noise}")

    @property
    def promises(self) -> Promises:
        return Promises(gradients=self.steps)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        for _ in range(self.steps):
            value, gradient = self.look(energy, x)
            x = self.move(x, gradient, rng)
            yield State(x, {"energy": value, "gradient": gradient})

    def look(self, energy: EnergyFn, x: Tensor) -> tuple[Tensor, Tensor]:
        return value_and_grad(energy, x)

    def move(self, x: Tensor, gradient: Tensor, rng: Generator) -> Tensor:
        return x - 0.1 * gradient + self.noise * noise_like(x, rng)


@dataclass(frozen=True, kw_only=True)
class Exact(Sampler):
    """Metropolis-adjusted Langevin, right, in pieces that a fault can replace.

    Args:
        steps: How many steps one chain takes.
    """

    steps: int = 10

    @property
    def promises(self) -> Promises:
        return Promises(temperature=1.0, reversible=True, gradients=self.steps + 1)

    def chain(self, energy: EnergyFn, x: Tensor, rng: Generator) -> Iterator[State]:
        value, gradient = value_and_grad(energy, x)
        for _ in range(self.steps):
            end = self.propose(x, gradient, rng)
            value_end, gradient_end = value_and_grad(energy, end)
            log_ratio = self.log_ratio(x, value, gradient, end, value_end, gradient_end)
            finite = self.finite(end, value_end, gradient_end)
            uniform = torch.rand(len(x), generator=rng, dtype=torch.float32, device=x.device)
            keep = finite & (uniform.log() < log_ratio)
            info = {"energy": value, "gradient": gradient, "accepted": keep}
            x = self.choose(keep, end, x)
            value = torch.where(keep, value_end, value)
            gradient = torch.where(per_example(x, keep), gradient_end, gradient)
            yield State(x, info)

    def propose(self, x: Tensor, gradient: Tensor, rng: Generator) -> Tensor:
        return x - 0.1 * gradient + math.sqrt(0.2) * noise_like(x, rng)

    def log_ratio(self, x: Tensor, e: Tensor, g: Tensor, y: Tensor, f: Tensor, h: Tensor) -> Tensor:
        there, back = (y - x + 0.1 * g).square().flatten(1).sum(1), (x - y + 0.1 * h).square().flatten(1).sum(1)
        return e - f + (there - back) / 0.4

    def finite(self, y: Tensor, f: Tensor, h: Tensor) -> Tensor:
        return f.isfinite() & y.isfinite().flatten(1).all(1) & h.isfinite().flatten(1).all(1)

    def choose(self, keep: Tensor, y: Tensor, x: Tensor) -> Tensor:
        return torch.where(per_example(x, keep), y, x)


LAW = "each_step_leaves_its_target_as_it_is"
BALANCE = "steps_are_in_detailed_balance"
NAN, INFINITY = "walls_of_nan_end_the_target", "walls_of_infinity_end_the_target"

# What a fault does, in words; the sampler; the checks that must fail.
FAULTS: dict[str, tuple[type[Sampler], set[str]]] = {}


def fault(*caught: str) -> Callable[[type[Sampler]], type[Sampler]]:
    """A planted fault, and exactly the checks that must fail for it."""

    def note(sampler: type[Sampler]) -> type[Sampler]:
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", sampler.__name__)
        FAULTS[words.lower()] = (sampler, set(caught))
        return sampler

    return note


# --- faults of any chain


@fault("chains_go_down_in_energy")
class ClimbsTheEnergy(Plain):
    def move(self, x, gradient, rng):
        return x + 0.1 * gradient + self.noise * noise_like(x, rng)


@fault(
    "chains_leave_their_start_alone",
    "chains_can_be_differentiated",
    "chains_say_energy_and_gradient_where_each_step_began",
)
class WritesToItsStart(Plain):
    def move(self, x, gradient, rng):
        return x.sub_(0.1 * gradient).add_(self.noise * noise_like(x, rng))


@fault(
    "chains_repeat_with_their_seed",
    "chains_differ_with_another_seed",
    "chains_leave_global_randomness_alone",
    "chains_leave_grad_mode_alone",
    "chains_do_not_mix_examples",
    "samplers_keep_no_state",
    "samples_are_the_ends_of_chains",
    "chains_take_energies_of_one_column",
    "chains_can_be_differentiated",
)
class DrawsFromTorch(Plain):
    def move(self, x, gradient, rng):
        return x - 0.1 * gradient + self.noise * torch.randn_like(x)


@fault("chains_leave_global_randomness_alone")
class SeedsNumpy(Plain):
    def move(self, x, gradient, rng):
        np.random.seed(0)  # noqa: NPY002
        return super().move(x, gradient, rng)


@fault("chains_differ_with_another_seed")
class ForgetsTheNoise(Plain):
    def move(self, x, gradient, rng):
        return x - 0.1 * gradient


@fault("chains_differ_with_another_seed")
class DrawsTheSameForEverySeed(Plain):
    def move(self, x, gradient, rng):
        noise_like(x, rng)
        return x - 0.1 * gradient + self.noise * noise_like(x, Generator().manual_seed(0))


@fault("chains_do_not_mix_examples")
class NormalisesOverTheBatch(Plain):
    def move(self, x, gradient, rng):
        return x - 0.1 * gradient / gradient.abs().mean() + self.noise * noise_like(x, rng)


@fault("samplers_keep_no_state")
class KeepsItsMomentum(Plain):
    def chain(self, energy, x, rng):
        object.__setattr__(self, "momentum", torch.zeros_like(x))
        yield from super().chain(energy, x, rng)

    def move(self, x, gradient, rng):
        object.__setattr__(self, "momentum", self.momentum * 0.5 - 0.1 * gradient)
        return x + self.momentum + self.noise * noise_like(x, rng)


@fault("chains_have_the_length_they_say")
class StopsTooEarly(Plain):
    def chain(self, energy, x, rng):
        states = list(super().chain(energy, x, rng))
        yield from states[: len(states) - 1]


@fault("samples_are_the_ends_of_chains")
class SamplesSomethingElse(Plain):
    def sample(self, energy, x, rng):
        return super().sample(energy, x, rng) * 0.999


@fault("chains_take_the_gradients_they_promise")
class TakesTwoGradients(Plain):
    def look(self, energy, x):
        value_and_grad(energy, x)
        return value_and_grad(energy, x)


@fault("chains_say_energy_and_gradient_where_each_step_began")
class SaysTheEnergyOfTheEnd(Plain):
    def chain(self, energy, x, rng):
        for state in super().chain(energy, x, rng):
            with evaluating(energy):
                value = evaluate(energy, state.x).detach()
            yield State(state.x, state.info | {"energy": value})


@fault("chains_do_not_mend_nan")
class MendsNan(Plain):
    def move(self, x, gradient, rng):
        return super().move(x, gradient.nan_to_num(0.0), rng)


@fault("chains_keep_shape_dtype_and_device", "chains_keep_no_graph", "chains_leave_the_energy_as_it_was")
class ComputesInDouble(Plain):
    def move(self, x, gradient, rng):
        return super().move(x, gradient, rng).double()


@fault("chains_keep_no_graph")
class KeepsTheGraph(Plain):
    def look(self, energy, x):
        _, gradient = value_and_grad(energy, x)
        with torch.inference_mode(False), torch.enable_grad(), evaluating(energy):
            return evaluate(energy, x.clone()), gradient


@fault("chains_can_be_differentiated")
class Detaches(Plain):
    def move(self, x, gradient, rng):
        return super().move(x.detach(), gradient.detach(), rng)


@fault("chains_leave_grad_mode_alone", "chains_can_be_differentiated")
class LeaksNoGrad(Plain):
    def chain(self, energy, x, rng):
        with torch.no_grad():
            yield from super().chain(energy, x, rng)


@fault("chains_leave_the_energy_as_it_was")
class FreezesTheWeights(Plain):
    def look(self, energy, x):
        if isinstance(energy, torch.nn.Module):
            energy.requires_grad_(False)
        return value_and_grad(energy, x)


@fault("chains_leave_the_energy_as_it_was", "chains_can_be_differentiated")
class BackpropagatesByItself(Plain):
    def look(self, energy, x):
        with torch.inference_mode(False), torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            value = energy(leaf)
            value.sum().backward()
        return value.detach().flatten(), leaf.grad


@fault("chains_leave_the_energy_as_it_was")
class SwallowsErrors(Plain):
    def chain(self, energy, x, rng):
        try:
            yield from super().chain(energy, x, rng)
        except RuntimeError:
            return


@fault("states_are_states")
class YieldsPairs(Plain):
    def chain(self, energy, x, rng):
        for state in super().chain(energy, x, rng):
            yield State(state.x, state.info | {"share": 0.5})


@fault("float_settings_refuse_nan")
class TakesAnyNoise(Plain):
    def __post_init__(self):
        pass


@fault("noiseless_chains_draw_nothing")
class IsNeverSilent(Plain):
    @property
    def noiseless(self):
        return self


@fault("homogeneous_chains_can_be_cut")
class SlowsDown(Plain):
    @property
    def promises(self):
        return Promises(gradients=self.steps, homogeneous=True)

    def chain(self, energy, x, rng):
        for step in range(self.steps):
            value, gradient = self.look(energy, x)
            x = x - 0.1 / (1 + step) * gradient + self.noise * noise_like(x, rng)
            yield State(x, {"energy": value, "gradient": gradient})


@fault("chains_that_promise_it_translate")
class Shrinks(Plain):
    @property
    def promises(self):
        return Promises(gradients=self.steps, translates=True)

    def move(self, x, gradient, rng):
        return super().move(0.99 * x, gradient, rng)


# --- faults of what is promised


@fault(LAW, BALANCE, NAN, INFINITY)
class ForgetsTheProposal(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return e - f


@fault(LAW)
class AcceptsEverything(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return torch.zeros_like(e)


@fault(LAW, BALANCE, NAN, INFINITY)
class TurnsTheRatio(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return -super().log_ratio(x, e, g, y, f, h)


@fault(
    "chains_move_towards_their_target",
    "chains_go_down_in_energy",
    "chains_differ_with_another_seed",
    "chains_say_energy_and_gradient_where_each_step_began",
)
class NeverMoves(Exact):
    def choose(self, keep, y, x):
        return x.clone()


@fault(LAW, BALANCE, NAN, INFINITY)
class SamplesHotter(Exact):
    @property
    def promises(self):
        return Promises(temperature=1.5, reversible=True, gradients=self.steps + 1)


@fault(NAN)
class TakesNanForZero(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return super().log_ratio(x, e.nan_to_num(0.0), g, y, f.nan_to_num(0.0), h)

    def finite(self, y, f, h):
        return ~f.isinf()


@fault("rejected_examples_stay_where_they_are", "chains_do_not_mend_nan")
class JittersWhatItRejects(Exact):
    def choose(self, keep, y, x):
        return torch.where(per_example(x, keep), y, x * (1 + 1e-6))
