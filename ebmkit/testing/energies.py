"""What every energy must do: return one value per example, change nothing, draw nothing."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from ebmkit.interfaces import energy_values, eval_mode, value_and_grad
from ebmkit.testing.globals import changed_by, seeded
from ebmkit.testing.kit import NotPromised, Subject, require
from ebmkit.testing.making import call, close, in_dtype, new_energy, new_module, normal, uniform


def energies_are_modules(subject: Subject) -> None:
    """An energy is a `torch.nn.Module`, so that it can be trained, saved and moved."""
    energy = new_energy(subject)
    require(isinstance(energy, nn.Module), f"it returned a {type(energy).__name__}; derive from ebmkit.Energy")


def energies_give_one_value_per_example(subject: Subject) -> None:
    """E(x) for x `(B, *shape)` is a tensor `(B,)` or `(B, 1)`, also for a single example."""
    for count in (1, 3):
        value: Any = call(new_energy(subject), uniform(subject, count))
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        require(
            found in ((count,), (count, 1)),
            f"{count} examples of shape {subject.shape} gave {found}; sum over all axes except the "
            "first: x.flatten(1).sum(1)",
        )


def energies_do_not_mix_examples(subject: Subject) -> None:
    """In evaluation mode the energy of an example does not depend on the rest of the batch, nor on its order."""
    energy, x = new_energy(subject), uniform(subject, 6)
    expected = call(energy, x).flatten()
    other = x.clone()
    other[0] = 2 * x[0] + 1
    for name, found, known in (
        ("without half of the batch", call(energy, x[:3]), expected[:3]),
        ("when the batch is reversed", call(energy, x.flip(0)), expected.flip(0)),
        ("when another example changes", call(energy, other)[1:], expected[1:]),
    ):
        require(
            close(found.flatten(), known),
            f"an example has another energy {name}; take no mean or norm over the batch: BatchNorm must use its "
            "running statistics in evaluation mode",
        )


def energies_repeat_in_evaluation_mode(subject: Subject) -> None:
    """Two calls on the same x give bitwise the same energies, and draw nothing from the global generators."""
    energy, x = new_energy(subject), uniform(subject, 4)
    advice = "random layers must be off in evaluation mode: nn.Dropout, or functional.dropout(training=self.training)"
    same = torch.equal(call(energy, x, seed=1), call(energy, x, seed=2))
    require(same, f"a second call gave other energies; {advice}")
    with torch.no_grad(), eval_mode(energy):
        drawn = changed_by(lambda: energy(x))
    require(not drawn, f"a call changed the random state of {drawn}; {advice}")


def energies_leave_x_unchanged(subject: Subject) -> None:
    """The energy does not write to its examples."""
    x = uniform(subject, 4)
    given = x.clone()
    call(new_energy(subject), x)
    require(torch.equal(x, given), "a call wrote to x; make a new tensor: x = x + ..., not x += ... or inplace=True")


def energies_keep_their_state_in_evaluation_mode(subject: Subject) -> None:
    """A call leaves parameters and buffers bitwise unchanged."""
    energy = new_module(subject)
    before = copy.deepcopy(dict(_tensors(energy)))
    call(energy, uniform(subject, 4))
    changed = [name for name, value in _tensors(energy) if not torch.equal(value, before[name])]
    require(not changed, f"a call changed {', '.join(changed)}; update statistics only `if self.training`")


def energies_keep_the_dtype(subject: Subject) -> None:
    """In float32, float64 and bfloat16, energies and gradients have the dtype of weights and examples."""
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        value, gradient = value_and_grad(in_dtype(new_energy(subject), dtype), uniform(subject, 2).to(dtype))
        require(
            value.dtype == gradient.dtype == dtype,
            f"examples of {dtype} gave energies of {value.dtype}; register tensors as parameters or buffers, and "
            "make new ones with dtype=x.dtype",
        )


def energies_take_any_memory_layout(subject: Subject) -> None:
    """The energies do not depend on the memory format of the examples, such as channels last."""
    energy, x = new_energy(subject), uniform(subject, 4)
    turned = x.movedim(1, -1).contiguous().movedim(-1, 1) if x.ndim > 2 else x.T.contiguous().T
    same = close(call(energy, turned), call(energy, x))
    require(same, "channels last in memory gives other energies; use x.flatten(1) or x.reshape, not view or strides")


def energies_are_finite_on_noise(subject: Subject) -> None:
    """Energies and gradients are finite on uniform noise in [-1, 1] and on normal noise, where chains start."""
    for name, x in (("uniform", uniform(subject, 32)), ("normal", normal(subject, 32))):
        value, gradient = value_and_grad(new_energy(subject), x)
        finite = bool(value.isfinite().all() and gradient.isfinite().all())
        require(finite, f"energies or gradients of {name} noise are not finite; check logarithms, roots and divisions")


def energies_can_be_copied(subject: Subject) -> None:
    """After a call, `copy.deepcopy` gives the same energy with weights of its own, as a moving average needs."""
    energy, x = new_module(subject), uniform(subject, 4)
    with seeded(0):
        energy_values(energy, x)
    try:
        twin = copy.deepcopy(energy)
    except Exception as error:
        return require(False, f"copy.deepcopy raised {type(error).__name__}; keep no results, hooks or lambdas on it")
    expected = call(energy, x)
    require(
        torch.equal(call(twin, x), expected), "a copy has other energies; E must depend only on parameters and buffers"
    )
    _move(twin)
    require(torch.equal(call(energy, x), expected), "writing to a copy changed the original; share no tensors")


def energies_are_restored_by_their_state_dict(subject: Subject) -> None:
    """An energy built with another seed has the same values after it loads the `state_dict` of the first."""
    energy, other, x = new_module(subject, 1), new_module(subject, 2), uniform(subject, 4)
    _move(energy)
    other.load_state_dict(copy.deepcopy(energy.state_dict()))
    require(
        torch.equal(call(other, x), call(energy, x)),
        "after its state_dict was loaded, E has other values; register every tensor as a parameter or buffer",
    )


def energies_give_every_parameter_a_gradient(subject: Subject) -> None:
    """The mean of E has a finite gradient with respect to every parameter that requires one."""
    energy = new_module(subject)
    trained = {name: parameter for name, parameter in energy.named_parameters() if parameter.requires_grad}
    if not trained:
        raise NotPromised("a parameter to train")
    with seeded(0):
        mean = energy_values(energy, uniform(subject, 4)).mean()
    gradients = torch.autograd.grad(mean, [*trained.values()], allow_unused=True)
    without = [
        name for name, one in zip(trained, gradients, strict=True) if one is None or not bool(one.isfinite().all())
    ]
    require(not without, f"no finite gradient for {', '.join(without)}; use them in forward, or do not register them")


def energies_repeat_with_the_torch_seed(subject: Subject) -> None:
    """Built twice after the same `torch.manual_seed`, E is the same, whatever the seeds of numpy and Python."""
    one, other = new_energy(subject, 1, torch_seed=7), new_energy(subject, 2, torch_seed=7)
    x = uniform(subject, 4)
    require(
        torch.equal(call(one, x), call(other, x)),
        "built twice with one torch.manual_seed, E differs; draw the initial weights from torch's global generator",
    )


def _move(energy: nn.Module) -> None:
    """Change every parameter, as an update does."""
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.mul_(1.5).add_(0.1)


def _tensors(energy: nn.Module) -> list[tuple[str, Tensor]]:
    return [*energy.named_parameters(), *energy.named_buffers()]
