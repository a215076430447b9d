"""The watcher that stops a run that has diverged."""

import math

import pytest
import torch
from small_trainings import made_up

from ebmkit.errors import Diverged
from ebmkit.watchers import stop_if_diverged

BROKEN = [
    {"loss": torch.tensor(math.nan)},
    {"gradient_norm": torch.tensor(math.inf)},
    {"real_energy": torch.tensor([0.0, 3e8])},
    {"fake_energy": torch.tensor([-3e8, 0.0])},
    {"chain": {"end_gradient": torch.tensor(math.nan)}},
]


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: next(iter(change)))
def test_the_error_names_the_update_and_what_to_try(change):
    seen = []
    updates = stop_if_diverged(made_up(index, **(change if index == 3 else {})) for index in range(1, 6))
    with pytest.raises(Diverged) as raised:
        seen.extend(update.index for update in updates)
    assert seen == [1, 2]
    message = str(raised.value)
    assert "diverged at update 3" in message
    name, values = next(iter(change.items()))
    assert (next(iter(values)) if name == "chain" else name) in message or "gap" in message
    for remedy in ("train.gradient_penalty=1", "optimizer.lr", "train.data_noise", "train.energy_l2"):
        assert remedy in message
    assert "\n" not in message


def test_large_values_other_than_energies_are_accepted():
    update = made_up(1, gradient_norm=torch.tensor(1e12), loss=torch.tensor(-1e12))
    assert list(stop_if_diverged(iter([update]))) == [update]


@pytest.mark.parametrize(("every", "seen"), [(0, 5), (2, 3), (3, 2), (5, 4)])
def test_every_nth_update_is_checked(every, seen):
    out = []
    updates = stop_if_diverged(
        (made_up(index, loss=torch.tensor(math.nan)) if index > 2 else made_up(index) for index in range(1, 6)),
        every=every,
    )
    try:
        for update in updates:
            out.append(update.index)
    except Diverged:
        assert out[-1] + 1 == {2: 4, 3: 3, 5: 5}[every]
    assert len(out) == seen


def test_the_limit_can_be_set():
    assert list(stop_if_diverged(iter([made_up(1)]), limit=3.0))
    with pytest.raises(Diverged, match="real_energy is 2"):
        list(stop_if_diverged(iter([made_up(1)]), limit=1.9))
