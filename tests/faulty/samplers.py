"""Faults of chains that do not depend on what the sampler promises."""

import numpy as np
import torch
from torch import Generator

from ebmkit.interfaces import Promises, State, energy_values, eval_mode, noise_like, value_and_grad
from faulty.planting import fault
from faulty.right import Plain


@fault("chains_go_down_in_energy")
class ClimbsTheEnergy(Plain):
    def move(self, x, gradient, rng):
        return x + 0.1 * gradient + self.noise * noise_like(x, rng)


@fault(
    "chains_leave_their_start_unchanged",
    "chains_can_be_differentiated",
    "chains_report_energy_and_gradient_before_each_step",
)
class WritesToItsStart(Plain):
    def move(self, x, gradient, rng):
        return x.sub_(0.1 * gradient).add_(self.noise * noise_like(x, rng))


@fault(
    "chains_repeat_with_their_seed",
    "chains_differ_with_another_seed",
    "chains_leave_global_randomness_unchanged",
    "chains_leave_grad_mode_unchanged",
    "chains_do_not_mix_examples",
    "samplers_keep_no_state",
    "samples_are_the_ends_of_chains",
    "chains_take_energies_of_one_column",
    "chains_can_be_differentiated",
)
class DrawsFromTorch(Plain):
    def move(self, x, gradient, rng):
        return x - 0.1 * gradient + self.noise * torch.randn_like(x)


@fault("chains_leave_global_randomness_unchanged")
class SeedsNumpy(Plain):
    def move(self, x, gradient, rng):
        np.random.seed(0)  # noqa: NPY002
        return super().move(x, gradient, rng)


@fault("chains_differ_with_another_seed", "chains_have_independent_noise")
class OmitsTheNoise(Plain):
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


@fault("chains_have_the_length_of_their_setting")
class StopsTooEarly(Plain):
    def chain(self, energy, x, rng):
        for step, state in enumerate(super().chain(energy, x, rng), 1):
            if step < self.steps:
                yield state


@fault("samples_are_the_ends_of_chains")
class SamplesSomethingElse(Plain):
    def sample(self, energy, x, rng):
        return super().sample(energy, x, rng) * 0.999


@fault("chains_take_the_gradients_they_promise")
class TakesTwoGradients(Plain):
    def look(self, energy, x):
        value_and_grad(energy, x)
        return value_and_grad(energy, x)


@fault("chains_report_energy_and_gradient_before_each_step")
class ReportsTheEnergyOfTheEnd(Plain):
    def chain(self, energy, x, rng):
        for state in super().chain(energy, x, rng):
            with eval_mode(energy):
                value = energy_values(energy, state.x).detach()
            yield State(state.x, state.info | {"energy": value})


@fault("chains_do_not_replace_nan")
class ReplacesNan(Plain):
    def move(self, x, gradient, rng):
        return super().move(x, gradient.nan_to_num(0.0), rng)


@fault("chains_keep_shape_dtype_and_device", "chains_keep_no_graph", "chains_leave_the_energy_unchanged")
class ComputesInDouble(Plain):
    def move(self, x, gradient, rng):
        return super().move(x, gradient, rng).double()


@fault("chains_keep_no_graph")
class KeepsTheGraph(Plain):
    def look(self, energy, x):
        _, gradient = value_and_grad(energy, x)
        with torch.inference_mode(False), torch.enable_grad(), eval_mode(energy):
            return energy_values(energy, x.clone()), gradient


@fault("chains_can_be_differentiated")
class Detaches(Plain):
    def move(self, x, gradient, rng):
        return super().move(x.detach(), gradient.detach(), rng)


@fault("chains_leave_grad_mode_unchanged", "chains_can_be_differentiated")
class LeaksNoGrad(Plain):
    def chain(self, energy, x, rng):
        with torch.no_grad():
            yield from super().chain(energy, x, rng)


@fault("chains_leave_the_energy_unchanged")
class FreezesTheWeights(Plain):
    def look(self, energy, x):
        if isinstance(energy, torch.nn.Module):
            energy.requires_grad_(False)
        return value_and_grad(energy, x)


@fault("chains_leave_the_energy_unchanged", "chains_can_be_differentiated")
class BackpropagatesByItself(Plain):
    def look(self, energy, x):
        with torch.inference_mode(False), torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            value = energy(leaf)
            value.sum().backward()
        return value.detach().flatten(), leaf.grad


@fault("chains_leave_the_energy_unchanged")
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
class AcceptsNanForTheNoise(Plain):
    def __post_init__(self):
        pass


@fault("noiseless_chains_draw_nothing")
class IsNeverNoiseless(Plain):
    @property
    def noiseless(self):
        return self


@fault("homogeneous_chains_can_be_split")
class ShrinksItsSteps(Plain):
    @property
    def promises(self):
        return Promises(gradients=self.steps, homogeneous=True)

    def chain(self, energy, x, rng):
        for step in range(self.steps):
            value, gradient = self.look(energy, x)
            x = x - 0.1 / (1 + step) * gradient + self.noise * noise_like(x, rng)
            yield State(x, {"energy": value, "gradient": gradient})


@fault("chains_translate_as_promised")
class ShrinksTowardsZero(Plain):
    @property
    def promises(self):
        return Promises(gradients=self.steps, translates=True)

    def move(self, x, gradient, rng):
        return super().move(0.99 * x, gradient, rng)


@fault("chains_have_independent_noise")
class SharesItsNoise(Plain):
    def move(self, x, gradient, rng):
        return x - 0.1 * gradient + self.noise * noise_like(x[:1], rng)


@fault("chains_go_down_in_energy", "chains_do_not_replace_nan")
class IgnoresTheEnergy(Plain):
    def move(self, x, gradient, rng):
        return x + self.noise * noise_like(x, rng)


@fault("chains_take_one_step_at_a_time")
class ReturnsAList(Plain):
    def chain(self, energy, x, rng):
        return list(super().chain(energy, x, rng))
