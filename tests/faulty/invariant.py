"""Faults of samplers that promise a law."""

import torch

from ebmkit.interfaces import Promises, State, per_example, value_and_grad
from faulty.planting import BALANCE, CONTROL, INFINITY, LAW, NAN, fault
from faulty.right import Exact


@fault(LAW, CONTROL, BALANCE, NAN, INFINITY)
class OmitsTheProposalRatio(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return e - f


@fault(LAW)
class AcceptsEverything(Exact):
    def log_ratio(self, x, e, g, y, f, h):
        return torch.zeros_like(e)


@fault(LAW, BALANCE, NAN, INFINITY)
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


@fault(LAW, BALANCE, NAN, INFINITY)
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


@fault(LAW, CONTROL, NAN, INFINITY, "rejected_examples_do_not_move")
class DenoisesAtTheEnd(Exact):
    # Ends by a step that is not adjusted.

    def chain(self, energy, x, rng):
        for _, state in zip(range(self.steps - 1), super().chain(energy, x, rng), strict=False):
            yield state
        value, gradient = value_and_grad(energy, state.x)
        yield State(state.x - 0.1 * gradient, state.info | {"energy": value, "gradient": gradient})


@fault(LAW, NAN, INFINITY)
class StopsRejectingAfterEightSteps(Exact):
    # Accepts whatever is finite from then on.

    @property
    def promises(self):
        return Promises(temperature=1.0, reversible=True, gradients=self.steps + 2)

    def chain(self, energy, x, rng):
        for part in (Exact(steps=8), AcceptsEverything(steps=self.steps - 8)):
            for state in part.chain(energy, x, rng):
                x = state.x
                yield state


@fault(LAW, CONTROL, BALANCE)
class ComputesTheRatioFromTwoElements(Exact):
    # Is right in the plane.

    def log_ratio(self, x, e, g, y, f, h):
        there, back = ((b - a + 0.1 * k).flatten(1)[:, :2].square().sum(1) for a, b, k in ((x, y, g), (y, x, h)))
        return e - f + (there - back) / 0.4


@fault(LAW, CONTROL, BALANCE)
class DividesByTheChannels(Exact):
    # Takes the number of channels for that of elements.

    def log_ratio(self, x, e, g, y, f, h):
        ratio = super().log_ratio(x, e, g, y, f, h)
        return e - f + (ratio - e + f) * x.shape[1] / x[0].numel()


@fault(CONTROL)
class MovesOnlyOneElement(Exact):
    # Leaves the law as it is, but never reaches it.

    count = 1

    def propose(self, x, gradient, rng):
        return torch.where(first(x, self.count), super().propose(x, gradient, rng), x)

    def log_ratio(self, x, e, g, y, f, h):
        return super().log_ratio(x, e, g * first(x, self.count), y, f, h * first(x, self.count))


@fault(CONTROL)
class MovesOnlyTwoElements(MovesOnlyOneElement):
    # Leaves the law as it is, and reaches it in the plane.

    count = 2


def first(x, count=1):
    """Which elements are the first ones, `(1, *shape)`."""
    return (torch.arange(x[0].numel()) < count).view(1, *x.shape[1:])
