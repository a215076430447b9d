"""Faults of samplers that promise a temperature."""

import torch

from ebmkit.interfaces import Promises, State, per_example, value_and_grad
from faulty.planting import BALANCE, CONTROL, INFINITY, INVARIANT, NAN, fault
from faulty.right import Exact


@fault(INVARIANT, CONTROL, BALANCE, NAN, INFINITY)
class OmitsTheProposalRatio(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return e - f


@fault(INVARIANT)
class AcceptsEverything(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return torch.zeros_like(e)


@fault(INVARIANT, BALANCE, NAN, INFINITY)
class InvertsTheRatio(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return -super().log_ratio(x, e, g, y, f, h)


@fault(
    CONTROL,
    "chains_go_down_in_energy",
    "chains_differ_with_another_seed",
    "chains_have_independent_noise",
    "chains_report_energy_and_gradient_before_each_step",
)
class NeverMoves(Exact):
    def choose(self, keep, y, x):
        return x.clone()


@fault(INVARIANT, BALANCE, NAN, INFINITY)
class PromisesTheWrongTemperature(Exact):
    @property
    def promises(self):
        return Promises(temperature=1.5, reversible=True, gradients=self.steps + 1)


@fault(NAN)
class ReplacesNanByZero(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return super().log_ratio(x, e.nan_to_num(0.0), g, y, f.nan_to_num(0.0), h)

    def finite(self, y, f, h):
        return ~f.isinf()


@fault("rejected_examples_do_not_move", "chains_do_not_replace_nan")
class MovesWhatItRejects(Exact):
    def choose(self, keep, y, x):
        return torch.where(per_example(x, keep), y, x * (1 + 1e-6))


@fault(INVARIANT, CONTROL, NAN, INFINITY, "rejected_examples_do_not_move")
class DenoisesAtTheEnd(Exact):
    # The last step is not adjusted.

    def chain(self, energy, x, rng):
        for _, state in zip(range(self.steps - 1), super().chain(energy, x, rng), strict=False):
            yield state
        value, gradient = value_and_grad(energy, state.x)
        yield State(state.x - 0.1 * gradient, state.info | {"energy": value, "gradient": gradient})


@fault(INVARIANT, NAN, INFINITY)
class StopsRejectingAfterEightSteps(Exact):
    # Later steps accept every finite proposal.

    @property
    def promises(self):
        return Promises(temperature=1.0, reversible=True, gradients=self.steps + 2)

    def chain(self, energy, x, rng):
        for part in (Exact(steps=8), AcceptsEverything(steps=self.steps - 8)):
            for state in part.chain(energy, x, rng):
                x = state.x
                yield state


@fault(INVARIANT, CONTROL, BALANCE)
class ComputesTheRatioFromTwoElements(Exact):
    # Correct in the plane.

    def log_ratio(self, x, e, g, y, f, h):
        there, back = ((b - a + 0.1 * k).flatten(1)[:, :2].square().sum(1) for a, b, k in ((x, y, g), (y, x, h)))
        return e - f + (there - back) / 0.4


@fault(INVARIANT, CONTROL, BALANCE)
class DividesByTheChannels(Exact):
    # Uses the number of channels as that of elements.

    def log_ratio(self, x, e, g, y, f, h):
        ratio = super().log_ratio(x, e, g, y, f, h)
        return e - f + (ratio - e + f) * x.shape[1] / x[0].numel()


@fault(CONTROL)
class MovesOnlyOneElement(Exact):
    # Leaves the target invariant, but never reaches it.

    count = 1

    def propose(self, x, gradient, rng):
        return torch.where(first(x, self.count), super().propose(x, gradient, rng), x)

    def log_ratio(self, x, e, g, y, f, h):
        return super().log_ratio(x, e, g * first(x, self.count), y, f, h * first(x, self.count))


@fault(CONTROL)
class MovesOnlyTwoElements(MovesOnlyOneElement):
    # Leaves the target invariant, and reaches it in the plane.

    count = 2


def first(x, count=1):
    """A mask of the first elements, `(1, *shape)`."""
    return (torch.arange(x[0].numel()) < count).view(1, *x.shape[1:])
