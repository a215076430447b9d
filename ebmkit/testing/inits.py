"""What every init distribution must do, whether or not it stores past chains."""

import io
from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from ebmkit.interfaces import InitDistribution
from ebmkit.testing.globals import changed_by, seeded
from ebmkit.testing.kit import Subject, require

COUNT = 7


def inits_are_init_distributions(subject: Subject) -> None:
    """An init derives from `ebmkit.InitDistribution`."""
    init: Any = subject.make()
    require(
        isinstance(init, InitDistribution), f"it returned a {type(init).__name__}; derive from ebmkit.InitDistribution"
    )


def draws_have_the_number_and_shape_asked_for(subject: Subject) -> None:
    """`sample(n, rng)` returns `(n, *shape)` on the device of `rng`, for n = 1 and for more."""
    for count in (1, COUNT):
        rng = Generator().manual_seed(0)
        x = _made(subject).sample(count, rng)
        expected = (count, *subject.shape)
        require(tuple(x.shape) == expected, f"sample({count}, rng) returned {tuple(x.shape)}; return {expected}")
        require(x.device == rng.device, f"the starts are on {x.device}; make them with device=rng.device")


def draws_are_in_single_precision(subject: Subject) -> None:
    """Starts are float32, like the weights of the energies."""
    x = _draw(_made(subject))
    require(x.dtype == torch.float32, f"the starts are {x.dtype}; chains keep the dtype of their start: return float32")


def draws_are_finite(subject: Subject) -> None:
    """There is no NaN and no infinity among many draws."""
    x = torch.cat([_draw(_made(subject), seed) for seed in range(30)])
    finite = x.isfinite()
    bad = int((~finite).sum())
    require(
        bad == 0, f"{bad} of {x.numel()} values were NaN or infinite; bound the arguments of divisions and logarithms"
    )


def draws_repeat_with_their_seed(subject: Subject) -> None:
    """Two new inits draw the same for the same seed, whatever the global seeds are."""
    one, other = (_draw(_made(subject), 3, others=seed) for seed in (1, 2))
    require(
        torch.equal(one, other),
        "two draws with one seed differ; draw with generator=rng, never from torch's, numpy's or Python's global state",
    )


def draws_differ_with_another_seed(subject: Subject) -> None:
    """Another seed gives other starts."""
    same = torch.equal(_draw(_made(subject), 3), _draw(_made(subject), 4))
    require(not same, "two seeds gave the same starts; draw with generator=rng")


def draws_leave_global_randomness_unchanged(subject: Subject) -> None:
    """Making, drawing and remembering leave torch's, numpy's and Python's generators as they were."""

    def use() -> None:
        init = subject.make()
        init.remember(init.sample(COUNT, Generator().manual_seed(0)))

    found = changed_by(use)
    require(not found, f"it changed the random state of {found}; draw only from rng, and set no global seed")


def draws_are_different_examples(subject: Subject) -> None:
    """The starts of one call are not all the same."""
    x = _draw(_made(subject))
    require(bool((x != x[:1]).any()), f"all {COUNT} starts are the same; draw each one independently")


def draws_are_free_of_graphs(subject: Subject) -> None:
    """Starts require no gradient, so that chains keep no graph."""
    require(not _draw(_made(subject)).requires_grad, "the starts require a gradient; detach them")


def draws_are_fresh_tensors(subject: Subject) -> None:
    """Writing to the starts changes no later draw, and no two of them share memory."""
    init, untouched = _made(subject), _made(subject)
    x = _draw(init).detach()
    others = x[1:].clone()
    x[0] = 1e6
    require(torch.equal(x[1:], others), "writing to one start changed the others; clone what was expanded")
    x.fill_(1e6)
    _draw(untouched)
    require(
        torch.equal(_draw(init, 5), _draw(untouched, 5)),
        "writing to the starts changed a later draw; return a clone of what is stored, not a view",
    )


def ends_are_remembered_as_copies(subject: Subject) -> None:
    """Writing to x after `remember(x)` changes no later draw."""
    init, untouched = _made(subject), _made(subject)
    for one in (init, untouched):
        x = _draw(one) + 1
        one.remember(x)
        if one is init:
            x.fill_(1e6)
    require(
        torch.equal(_draw(init, 5), _draw(untouched, 5)),
        "writing to x after remember(x) changed a later draw; store x.detach().clone()",
    )


def ends_of_any_chain_can_be_remembered(subject: Subject) -> None:
    """After chains that moved far and require gradients, draws are still finite, detached and repeatable."""
    init, twin = _made(subject), _made(subject)
    for one in (init, twin):
        for seed in range(3):
            one.remember((_draw(one, seed) + 100).requires_grad_() * 2)
    x, again = _draw(init, 5), _draw(twin, 5)
    require(
        x.shape == (COUNT, *subject.shape)
        and bool(x.isfinite().all())
        and not x.requires_grad
        and torch.equal(x, again),
        "after remember(x), a draw has another shape, is not finite, requires a gradient or does not repeat with its "
        "seed; store x.detach() and draw from rng",
    )


def states_are_tensors(subject: Subject) -> None:
    """`state_dict` returns tensors by name, before the first draw and after it, as checkpoints need them."""
    init = _made(subject)
    for _ in range(2):
        state: Any = init.state_dict()
        require(isinstance(state, Mapping), f"state_dict returned a {type(state).__name__}; return a dict of tensors")
        other = [
            str(name) for name, value in state.items() if not isinstance(name, str) or not isinstance(value, Tensor)
        ]
        require(not other, f"{', '.join(other)} in state_dict: return only tensors, such as torch.tensor(number)")
        init.remember(_draw(init) + 1)


def states_can_be_restored(subject: Subject) -> None:
    """A new init that loads the saved state draws what the old one draws next, also if that was never used."""
    for used in (0, 2):
        old, new = _made(subject), _made(subject)
        for seed in range(used):
            old.remember(_draw(old, seed) + 1)
        new.load_state_dict(_through_a_file(old.state_dict()))
        for seed in (5, 6):
            one, other = _draw(old, seed), _draw(new, seed)
            require(
                torch.equal(one, other),
                f"after {used} updates, an init that loaded the state draws other starts: state_dict must hold all "
                "that a draw depends on, and load_state_dict must restore it",
            )
            for init, x in ((old, one), (new, other)):
                init.remember(x + 1)


def _made(subject: Subject) -> InitDistribution:
    init: InitDistribution = subject.make()
    return init


def _draw(init: InitDistribution, seed: int = 0, others: int = 0) -> Tensor:
    """Starts drawn with this seed, while all global generators have the seed `others`."""
    with seeded(others):
        return init.sample(COUNT, Generator().manual_seed(seed))


def _through_a_file(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state as it is read from a checkpoint."""
    file = io.BytesIO()
    torch.save(dict(state), file)
    file.seek(0)
    loaded: dict[str, Tensor] = torch.load(file, weights_only=True)
    return loaded
