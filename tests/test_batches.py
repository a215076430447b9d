"""Batches: drawn uniformly with replacement, with noise, the same on every device."""

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from ebmkit.data.examples import Examples, batches
from ebmkit.errors import UsageError


def generator(seed=0):
    return Generator().manual_seed(seed)


def test_batches_have_the_shape_of_the_examples_and_no_end():
    stream = batches(Examples(torch.rand(5, 2, 3)), 4, generator())
    assert all(batch.shape == (4, 2, 3) for batch in islice(stream, 20))


@settings(max_examples=25)
@given(st.integers(0, 2**40), st.integers(1, 8), st.sampled_from([0.0, 0.3]))
def test_batches_repeat_with_their_seed(seed, size, noise):
    examples = Examples(torch.linspace(-1, 1, 100).view(50, 2))
    first, second, other = (
        torch.stack(list(islice(batches(examples, size, generator(s), noise=noise), 10)))
        for s in (seed, seed, seed + 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def draws(total, batch_size=50, count=20):
    examples = Examples(torch.arange(float(count)).view(count, 1))
    stream = batches(examples, min(batch_size, count), generator())
    return torch.stack(list(islice(stream, total))).squeeze(2).long()


def chi_square_z(indices, count=20):
    """(X² - df) / sqrt(2 df) of the counts of each index, against equal ones."""
    observed = torch.bincount(indices.flatten(), minlength=count).double()
    expected = indices.numel() / count
    return float(((observed - expected).square().sum() / expected - (count - 1)) / (2 * (count - 1)) ** 0.5)


def test_examples_are_drawn_uniformly():
    indices = draws(2000)
    assert abs(chi_square_z(indices)) < 5
    # The control: one draw in twenty is moved to a lower index.
    skewed = torch.where((torch.arange(indices.numel()) % 20 == 0).view_as(indices), indices // 2, indices)
    assert chi_square_z(skewed) > 5


def test_examples_are_drawn_with_replacement():
    """A batch as large as the data misses a given example with probability (1 - 1/n)^n."""
    indices = draws(500)
    missing = torch.tensor([20 - len(row.unique()) for row in indices]).double()
    n, p, both = 20, (1 - 1 / 20) ** 20, (1 - 2 / 20) ** 20
    variance = n * p + n * (n - 1) * both - (n * p) ** 2
    z = (missing.mean() - n * p) / (variance / len(missing)) ** 0.5
    assert abs(z) < 5


def noise_z(values, scale):
    """z of the mean square of Gaussian noise against scale²."""
    n = values.numel()
    return float((values.double().square().mean() / scale**2 - 1) / (2 / n) ** 0.5)


def test_the_noise_has_its_given_deviation_and_is_independent():
    stream = batches(Examples(torch.zeros(10, 3, 8, 8)), 10, generator(), noise=0.03)
    noise = torch.stack(list(islice(stream, 50)))
    assert abs(noise_z(noise, 0.03)) < 5
    assert abs(noise_z(noise, 0.031)) > 5
    assert abs(float(noise.double().mean()) * noise.numel() ** 0.5 / 0.03) < 5
    first, second = noise[:-1].double().flatten() / 0.03, noise[1:].double().flatten() / 0.03
    assert abs(float((first * second).mean()) * len(first) ** 0.5) < 5


def test_a_schedule_of_noise_gets_the_index_of_the_update():
    seen = []

    def noise(index):
        seen.append(index)
        return 0.1 * index

    stream = batches(Examples(torch.zeros(100, 100)), 100, generator(), noise=noise, start=4)
    noises = list(islice(stream, 3))
    assert seen == [5, 6, 7]
    for index, batch in zip(seen, noises, strict=True):
        assert abs(noise_z(batch, 0.1 * index)) < 5


def test_no_noise_draws_nothing():
    examples = Examples(torch.linspace(-1, 1, 50).view(50, 1))
    rng, plain = generator(), generator()
    next(batches(examples, 8, rng, noise=0.0))
    torch.randint(50, (8,), generator=plain)
    assert torch.equal(rng.get_state(), plain.get_state())
    next(batches(examples, 8, rng, noise=lambda index: 0.0))
    torch.randint(50, (8,), generator=plain)
    assert torch.equal(rng.get_state(), plain.get_state())


def test_batches_do_not_change_the_global_generator():
    before = torch.get_rng_state()
    next(batches(Examples(torch.zeros(5, 2)), 2, generator(), noise=1.0))
    assert torch.equal(before, torch.get_rng_state())


def test_batches_are_on_the_given_device():
    batch: Tensor = next(batches(Examples(torch.zeros(5, 2)), 2, generator(), noise=1.0, device="meta"))
    assert batch.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_the_same_on_every_device():
    source = torch.rand(50, 3)
    here = next(batches(Examples(source), 8, generator(), noise=0.1))
    there = next(batches(Examples(source.cuda()), 8, generator(), noise=0.1, device="cuda"))
    assert there.is_cuda
    assert torch.equal(here, there.cpu())


def test_a_batch_for_cuda_is_copied_from_pinned_memory(monkeypatch):
    sent = []
    to = Tensor.to

    def sending(self, *args, **settings):
        if args != (torch.device("cuda"),):
            return to(self, *args, **settings)
        sent.append(settings)
        return self

    monkeypatch.setattr(Tensor, "to", sending)
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: sent.append("pinned") or self)
    next(batches(Examples(torch.zeros(5, 2)), 2, generator(), device="cuda"))
    assert sent == ["pinned", {"non_blocking": True}]


def test_the_noise_is_not_added_in_place(monkeypatch):
    examples, values = Examples(torch.zeros(5, 2)), torch.zeros(3, 2)
    monkeypatch.setattr(examples, "fetch", lambda indices: values)
    assert next(batches(examples, 3, generator(), noise=1.0)).abs().min() > 0
    assert torch.equal(values, torch.zeros(3, 2))


def test_bad_settings_are_refused_at_the_call():
    examples = Examples(torch.zeros(5, 2))
    with pytest.raises(UsageError, match="batch_size is 6, but there are only 5 examples"):
        batches(examples, 6, generator())
    with pytest.raises(UsageError, match="batch_size must be at least 1"):
        batches(examples, 0, generator())
    for noise in (-0.1, float("nan")):
        with pytest.raises(UsageError, match="data noise must be at least 0"):
            batches(examples, 2, generator(), noise=noise)
    with pytest.raises(UsageError, match="data noise of update 1 must be at least 0"):
        next(batches(examples, 2, generator(), noise=lambda index: -1.0))
