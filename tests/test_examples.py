"""Examples of every kind of source, and the batches drawn from them."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from torch import Generator, Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from ebmkit.data.examples import Examples, batches
from ebmkit.errors import UsageError

ALL = torch.arange(4)


def generator(seed=0):
    return Generator().manual_seed(seed)


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Batched(Items):
    def __getitem__(self, index):
        raise AssertionError("single items are not asked for where batches can be")

    def __getitems__(self, indices):
        return self.items(indices)

    def __len__(self):
        return 10


def test_floating_tensors_and_arrays_are_taken_as_they_are():
    values = torch.rand(4, 3, 5, 6, dtype=torch.float64) * 3 - 1
    for source in (values, values.numpy(), values.numpy().astype(">f8")):
        examples = Examples(source)
        assert examples.shape == (3, 5, 6)
        assert len(examples) == 4
        batch = examples.fetch(torch.tensor([2, 0, 2]))
        assert batch.dtype == torch.float32
        assert torch.equal(batch, values[[2, 0, 2]].float())


@given(arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3, st.sampled_from([1, 3, 4]))))
def test_uint8_is_between_minus_one_and_one_and_comes_back(pixels):
    batch = Examples(pixels).fetch(torch.arange(len(pixels)))
    assert batch.min() >= -1
    assert batch.max() <= 1
    back = ((batch + 1) * 127.5).round().to(torch.uint8).numpy()
    assert np.array_equal(np.moveaxis(back, 1, 3), pixels)


def test_black_is_minus_one_and_white_is_one():
    batch = Examples(np.array([[[0, 255]]], dtype=np.uint8)).fetch(torch.tensor([0]))
    assert batch.tolist() == [[[[-1.0, 1.0]]]]


def test_uint8_arrays_have_channels_last_and_uint8_tensors_first():
    assert Examples(np.zeros((2, 5, 6, 3), np.uint8)).shape == (3, 5, 6)
    assert Examples(np.zeros((2, 3, 5, 6), np.uint8)).shape == (3, 5, 6)
    assert Examples(np.zeros((2, 5, 6), np.uint8)).shape == (1, 5, 6)
    assert Examples(torch.zeros(2, 3, 5, 3, dtype=torch.uint8)).shape == (3, 5, 3)
    assert Examples(torch.zeros(2, 5, 6, dtype=torch.uint8)).shape == (1, 5, 6)
    assert Examples(np.zeros((2, 7), np.uint8)).shape == (7,)


def test_vectors_are_examples_too():
    assert Examples(torch.zeros(5, 2)).shape == (2,)


def picture(mode):
    return Image.fromarray(np.full((5, 6, 3), 255, np.uint8)).convert(mode)


@pytest.mark.parametrize(
    ("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4), ("1", 1), ("P", 3), ("CMYK", 3), ("LA", 4)]
)
def test_pil_images_become_channels_first(mode, channels):
    examples = Examples(Items([picture(mode)]))
    assert examples.shape == (channels, 5, 6)
    assert torch.equal(examples.fetch(torch.tensor([0])), torch.ones(1, channels, 5, 6))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: x,
        lambda x: x.numpy(),
        lambda x: (x, 7),
        lambda x: [x, 7],
        lambda x: {"label": 7, "image": x},
        lambda x: {"img": x, "other": torch.zeros(9)},
        lambda x: {"pixel_values": x},
        lambda x: {"x": x},
        lambda x: {"label": torch.tensor(7), "number": np.int64(3), "name": "a", "picture": x},
        lambda x: ({"image": x}, 7),
    ],
)
def test_an_item_may_wrap_its_example(wrap):
    values = torch.rand(4, 2, 3)
    examples = Examples(Items([wrap(value) for value in values]))
    assert examples.shape == (2, 3)
    assert torch.equal(examples.fetch(ALL.flip(0)), values.flip(0))


def test_torchs_own_data_sets_and_plain_lists_work():
    values = torch.rand(6, 2)
    assert torch.equal(Examples(TensorDataset(values, torch.arange(6))).fetch(ALL), values[:4])
    assert torch.equal(Examples(Subset(TensorDataset(values), [5, 4, 3, 2])).fetch(ALL), values[[5, 4, 3, 2]])
    assert torch.equal(Examples(list(values)).fetch(ALL), values[:4])


def test_examples_of_examples_read_the_same_source():
    first = Examples(torch.rand(4, 2))
    assert Examples(first).source is first.source


def test_whole_batches_are_asked_for_where_the_source_gives_them():
    values = torch.rand(10, 2)
    asked = []

    def tensor(indices):
        asked.append(indices)
        return values[indices]

    assert torch.equal(Examples(Batched(tensor)).fetch(ALL), values[:4])
    assert asked[-1] == [0, 1, 2, 3]
    items = Examples(Batched(lambda indices: [{"x": values[index]} for index in indices]))
    assert torch.equal(items.fetch(ALL), values[:4])


def test_uint8_batches_of_a_source_are_brightnesses():
    examples = Examples(Batched(lambda indices: torch.full((len(indices), 3, 4, 4), 255, dtype=torch.uint8)))
    assert torch.equal(examples.fetch(ALL), torch.ones(4, 3, 4, 4))


def test_a_batch_of_another_length_or_shape_than_asked_for_is_refused():
    with pytest.raises(UsageError, match="gave 1 items where 4"):
        Examples(Batched(lambda indices: torch.zeros(1, 2))).fetch(ALL)
    with pytest.raises(UsageError, match=r"example 0 has shape \(4,\) but the first one \(1,\)"):
        Examples(Batched(lambda indices: torch.zeros(len(indices), len(indices)))).fetch(ALL)


def test_no_examples_can_be_fetched():
    for source in (torch.rand(4, 2, 3), list(torch.rand(4, 2, 3))):
        assert Examples(source).fetch(torch.zeros(0, dtype=torch.long)).shape == (0, 2, 3)


def test_fetching_does_not_hand_out_the_source_itself():
    values = torch.zeros(4, 2, requires_grad=True)
    batch = Examples(values).fetch(ALL)
    assert not batch.requires_grad
    batch.add_(1)
    assert torch.equal(values, torch.zeros(4, 2))


def test_an_item_of_another_shape_is_named():
    examples = Examples([torch.zeros(3), torch.zeros(3), torch.zeros(4)])
    with pytest.raises(UsageError, match=r"example 2 has shape \(4,\) but the first one \(3,\)"):
        examples.fetch(torch.tensor([0, 2]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e300])
def test_an_example_that_is_not_finite_is_named(bad):
    values = torch.zeros(5, 2, dtype=torch.float64)
    values[3, 1] = bad
    for source in (values, list(values)):
        with pytest.raises(UsageError, match="example 3 holds NaN or infinity"):
            Examples(source).fetch(torch.tensor([1, 3, 0]))


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(2)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (torch.zeros(0, 2), "the data set is empty"),
        ([], "the data set is empty"),
        (torch.zeros(5), r"expected \(N, \*shape\)"),
        (torch.tensor(1.0), r"expected \(N, \*shape\)"),
        (Endless(), "a Endless is no data set"),
        (3, "a int is no data set"),
        ({"train": [], "test": []}, "mapping with the keys train, test"),
        (torch.zeros(3, 2, dtype=torch.long), "type torch.int64"),
        (np.zeros((3, 2), bool), "type bool"),
        (["a"], "an item is a str"),
        ([3.0], "an item is a float"),
        ([()], "an item is a tuple"),
        ([{"a": np.zeros(2), "b": np.zeros(2)}], "keys a, b: expected one of image"),
        ([{"a": 1}], "keys a: expected one of image"),
        (torch.full((1, 2), float("nan")), "example 0 holds NaN"),
    ],
)
def test_what_is_no_data_set_is_refused_in_one_line(source, message):
    with pytest.raises(UsageError, match=message) as error:
        Examples(source)
    assert "\n" not in str(error.value)


def test_batches_have_the_examples_shape_and_are_endless():
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


def test_the_noise_has_the_deviation_asked_for_and_is_fresh():
    stream = batches(Examples(torch.zeros(10, 3, 8, 8)), 10, generator(), noise=0.03)
    noise = torch.stack(list(islice(stream, 50)))
    assert abs(noise_z(noise, 0.03)) < 5
    assert abs(noise_z(noise, 0.031)) > 5
    assert abs(float(noise.double().mean()) * noise.numel() ** 0.5 / 0.03) < 5
    first, second = noise[:-1].double().flatten() / 0.03, noise[1:].double().flatten() / 0.03
    assert abs(float((first * second).mean()) * len(first) ** 0.5) < 5


def test_a_schedule_of_noise_is_given_the_updates_index():
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


def test_batches_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    next(batches(Examples(torch.zeros(5, 2)), 2, generator(), noise=1.0))
    assert torch.equal(before, torch.get_rng_state())


def test_batches_go_to_the_device():
    batch: Tensor = next(batches(Examples(torch.zeros(5, 2)), 2, generator(), noise=1.0, device="meta"))
    assert batch.device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_the_same_on_every_device():
    source = torch.rand(50, 3)
    here = next(batches(Examples(source), 8, generator(), noise=0.1))
    there = next(batches(Examples(source.cuda()), 8, generator(), noise=0.1, device="cuda"))
    assert there.is_cuda
    assert torch.equal(here, there.cpu())


def test_a_batch_for_cuda_is_sent_from_pinned_memory_and_not_waited_for(monkeypatch):
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


def test_the_noise_is_not_added_to_what_was_fetched(monkeypatch):
    examples, values = Examples(torch.zeros(5, 2)), torch.zeros(3, 2)
    monkeypatch.setattr(examples, "fetch", lambda indices: values)
    assert next(batches(examples, 3, generator(), noise=1.0)).abs().min() > 0
    assert torch.equal(values, torch.zeros(3, 2))


def test_bad_settings_are_refused_at_the_call():
    examples = Examples(torch.zeros(5, 2))
    with pytest.raises(UsageError, match="batch_size is 6 but there are only 5 examples"):
        batches(examples, 6, generator())
    with pytest.raises(UsageError, match="batch_size must be at least 1"):
        batches(examples, 0, generator())
    for noise in (-0.1, float("nan")):
        with pytest.raises(UsageError, match="data noise must be at least 0"):
            batches(examples, 2, generator(), noise=noise)
    with pytest.raises(UsageError, match="data noise of update 1 must be at least 0"):
        next(batches(examples, 2, generator(), noise=lambda index: -1.0))
