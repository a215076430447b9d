"""The replay buffer: what it draws, what it stores, and what a checkpoint gets."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from ebmkit.errors import UsageError
from ebmkit.inits.gaussian import Gaussian
from ebmkit.inits.replay import ReplayBuffer
from ebmkit.inits.uniform import Uniform
from ebmkit.interfaces import InitDistribution


class Lineages(InitDistribution):
    """Starts that are numbered in the order in which they were drawn: 0, 1, 2, ..."""

    def __init__(self) -> None:
        self.born = 0

    def sample(self, n: int, rng: Generator) -> Tensor:
        births = torch.arange(self.born, self.born + n, dtype=torch.float32, device=rng.device)
        self.born += n
        return births.unsqueeze(1)


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def bank(replay: ReplayBuffer) -> Tensor:
    return replay.state_dict()["bank"].clone()


def test_the_buffer_is_filled_from_the_base_at_the_first_draw():
    replay = ReplayBuffer((2, 3), size=50, restart=0.0)
    assert replay.state_dict() == {}
    x = replay.sample(10, rng(1))
    assert torch.equal(bank(replay), Uniform((2, 3)).sample(50, rng(1)))
    rows = {tuple(row) for row in bank(replay).flatten(1).tolist()}
    assert all(tuple(row) in rows for row in x.flatten(1).tolist())


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("uniform", Uniform((2,))),
        ("gaussian", Gaussian((2,))),
        (Gaussian((2,), mean=9.0), Gaussian((2,), mean=9.0)),
    ],
    ids=["uniform", "gaussian", "any"],
)
def test_new_chains_start_from_the_base(base: Any, expected: InitDistribution):
    replay = ReplayBuffer((2,), size=20, restart=1.0, base=base)
    replay.sample(20, rng(2))
    assert torch.equal(bank(replay), expected.sample(20, rng(2)))
    before = bank(replay)
    generator = rng(3)
    x = replay.sample(20, generator)
    twin = rng(3)
    torch.randperm(20, generator=twin)
    torch.rand(20, generator=twin)
    assert torch.equal(x, expected.sample(20, twin))
    assert torch.equal(bank(replay), before)


def test_a_draw_has_distinct_slots():
    replay, generator = ReplayBuffer((1,), size=10, restart=0.0, base=Lineages()), rng(4)
    assert all(len(replay.sample(3, generator).unique()) == 3 for _ in range(200))


@pytest.mark.parametrize("restart", [0.05, 0.5])
def test_chains_restart_independently_with_their_probability(restart: float):
    replay = ReplayBuffer((1,), size=200, restart=restart, base=Lineages())
    generator, restarts = rng(5), []
    for _ in range(200):
        restarts.append((replay.sample(100, generator) >= 200).flatten().double())
    drawn = torch.stack(restarts)
    assert abs(float(drawn.mean() - restart)) / math.sqrt(restart * (1 - restart) / drawn.numel()) < 5
    assert abs(float(drawn.mean() - restart * 1.25)) / math.sqrt(restart * (1 - restart) / drawn.numel()) > 5
    # Independent for each chain: how many restart in a draw is binomial, not fixed.
    spread = (drawn.sum(1) - 100 * restart).square() - 100 * restart * (1 - restart)
    assert abs(float(spread.mean() / (spread.std() / math.sqrt(200)))) < 5
    neighbours = (drawn[:, 1:] - restart) * (drawn[:, :-1] - restart)
    assert abs(float(neighbours.mean() / (neighbours.std() / math.sqrt(neighbours.numel())))) < 5


def test_only_remembering_changes_the_buffer():
    replay = ReplayBuffer((2,), size=8, restart=0.5)
    generator = rng(6)
    replay.sample(4, generator)
    before = bank(replay)
    x = replay.sample(4, generator)
    x.add_(100)
    assert torch.equal(bank(replay), before)
    replay.remember(x)
    assert (bank(replay) > 50).any(1).sum() == 4
    after = bank(replay)
    x.zero_()
    assert torch.equal(bank(replay), after)


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 12), data=st.data(), restart=st.sampled_from([0.0, 0.3, 1.0]), seed=st.integers(0, 2**32))
def test_each_drawn_slot_gets_its_own_chain_and_no_other_does(
    size: int, data: st.DataObject, restart: float, seed: int
):
    n = data.draw(st.integers(0, size))
    replay = ReplayBuffer((1,), size=size, restart=restart, base=Lineages())
    generator = rng(seed)
    replay.sample(size, generator)
    before = bank(replay)
    x = replay.sample(n, generator)
    replay.remember(x + 1000)
    changed = (bank(replay) != before).flatten()
    assert int(changed.sum()) == n
    assert torch.equal(bank(replay)[changed].sort(0).values, (x + 1000).sort(0).values)
    if restart == 0:
        assert torch.equal(bank(replay)[changed], before[changed] + 1000)


def test_restarts_replace_lineages_one_by_one():
    replay = ReplayBuffer((1,), size=50, restart=1.0, base=Lineages())
    generator = rng(8)
    for _ in range(3):
        replay.remember(replay.sample(50, generator))
    assert torch.equal(bank(replay).sort(0).values, torch.arange(150.0, 200.0).unsqueeze(1))


def test_a_restored_buffer_continues_bit_for_bit():
    first, generator = ReplayBuffer((2, 3), size=30, restart=0.2), rng(9)
    for _ in range(4):
        first.remember(first.sample(10, generator) * 0.9)
    state, stream = {"bank": bank(first)}, generator.get_state()
    second, twin = ReplayBuffer((2, 3), size=30, restart=0.2), rng()
    second.load_state_dict(state)
    twin.set_state(stream)
    assert torch.equal(bank(second), bank(first))
    for _ in range(4):
        x, y = first.sample(10, generator), second.sample(10, twin)
        assert torch.equal(x, y)
        first.remember(x * 0.9)
        second.remember(y * 0.9)
    assert torch.equal(bank(second), bank(first))
    assert not torch.equal(state["bank"], bank(first))


def test_a_restored_buffer_is_a_copy_and_is_not_refilled():
    kept = torch.full((5, 2), 7.0)
    replay = ReplayBuffer((2,), size=5, restart=0.0)
    replay.load_state_dict({"bank": kept})
    x = replay.sample(5, rng())
    assert torch.equal(x, kept)
    replay.remember(x + 1)
    assert torch.equal(kept, torch.full((5, 2), 7.0))
    assert torch.equal(bank(replay), torch.full((5, 2), 8.0))


def test_an_empty_state_empties_the_buffer():
    replay = ReplayBuffer((2,), size=5)
    replay.sample(2, rng())
    replay.load_state_dict({})
    assert replay.state_dict() == {}
    replay.sample(2, rng(1))
    assert torch.equal(bank(replay), Uniform((2,)).sample(5, rng(1)))


def test_a_buffer_made_in_inference_mode_can_be_used_outside():
    replay = ReplayBuffer((2,), size=5, restart=0.5)
    with torch.inference_mode():
        x = replay.sample(5, rng())
        replay.remember(x)
    replay.remember(torch.ones(5, 2))
    assert torch.equal(bank(replay), torch.ones(5, 2))
    with torch.inference_mode():
        kept = torch.zeros(5, 2)
        replay.load_state_dict({"bank": kept})
    replay.sample(5, rng())
    replay.remember(torch.ones(5, 2))
    assert torch.equal(bank(replay), torch.ones(5, 2))


def test_chains_are_stored_without_graphs_and_as_float32():
    replay = ReplayBuffer((2,), size=5)
    replay.sample(5, rng())
    replay.remember(torch.ones(5, 2, dtype=torch.float64, requires_grad=True) * 2)
    assert not bank(replay).requires_grad
    assert bank(replay).dtype == torch.float32
    assert torch.equal(bank(replay), torch.full((5, 2), 2.0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_buffer_moves_to_the_device_of_the_draws():
    replay = ReplayBuffer((2,), size=5, restart=0.0)
    replay.load_state_dict({"bank": torch.arange(10.0).reshape(5, 2)})
    x = replay.sample(5, torch.Generator("cuda").manual_seed(0))
    assert x.device.type == "cuda"
    replay.remember(x)
    assert torch.equal(bank(replay).cpu(), torch.arange(10.0).reshape(5, 2))


def test_a_seed_decides_the_draws():
    def draws(seed: int) -> Tensor:
        replay, generator = ReplayBuffer((2,), size=20, restart=0.3), rng(seed)
        return torch.stack([replay.sample(5, generator) for _ in range(3)])

    before = torch.get_rng_state()
    assert torch.equal(draws(1), draws(1))
    assert not torch.equal(draws(1), draws(2))
    assert torch.equal(torch.get_rng_state(), before)


def test_more_chains_than_slots_are_refused():
    replay = ReplayBuffer((2,), size=5)
    with pytest.raises(UsageError, match=r"holds 5 chains, not 6: write -s init\.size=6"):
        replay.sample(6, rng())
    assert replay.state_dict() == {}


def test_remembering_before_a_draw_is_refused():
    replay = ReplayBuffer((2,), size=5)
    with pytest.raises(ValueError, match="before sample"):
        replay.remember(torch.zeros(2, 2))
    # The slots of a draw from the old buffer are not slots of the restored one.
    replay.sample(2, rng())
    replay.load_state_dict({"bank": torch.zeros(5, 2)})
    with pytest.raises(ValueError, match="before sample"):
        replay.remember(torch.zeros(2, 2))


@pytest.mark.parametrize("shape", [(2, 2), (4, 2), (3, 3), (3,)], ids=str)
def test_remembering_other_chains_than_drawn_is_refused(shape: tuple[int, ...]):
    replay = ReplayBuffer((2,), size=5)
    replay.sample(3, rng())
    before = bank(replay)
    with pytest.raises(ValueError, match=r"sample drew examples of shape \(3, 2\)"):
        replay.remember(torch.zeros(shape))
    assert torch.equal(bank(replay), before)


@pytest.mark.parametrize("shape", [(4, 2), (5, 3), (5,)], ids=str)
def test_a_buffer_of_another_shape_is_refused(shape: tuple[int, ...]):
    replay = ReplayBuffer((2,), size=5)
    with pytest.raises(ValueError, match=r"the replay buffer has shape \(5, 2\)"):
        replay.load_state_dict({"bank": torch.zeros(shape)})


@pytest.mark.parametrize("bad", [{"size": 0}, {"restart": -0.1}, {"restart": 1.1}, {"restart": math.nan}], ids=str)
def test_settings_out_of_range_are_refused_in_one_line(bad: dict[str, Any]):
    with pytest.raises(UsageError, match=f"^{next(iter(bad))} must be ") as caught:
        ReplayBuffer((2,), **bad)
    assert "\n" not in str(caught.value)
