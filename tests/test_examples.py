"""Examples of every kind of source."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError

ALL = torch.arange(4)


class Items(Dataset):
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Batched(Items):
    def __getitem__(self, index):
        raise AssertionError("single items are fetched although the source has batches")

    def __getitems__(self, indices):
        return self.items(indices)

    def __len__(self):
        return 10


def test_floating_tensors_and_arrays_are_used_unchanged():
    values = torch.rand(4, 3, 5, 6, dtype=torch.float64) * 3 - 1
    for source in (values, values.numpy(), values.numpy().astype(">f8")):
        examples = Examples(source)
        assert examples.shape == (3, 5, 6)
        assert len(examples) == 4
        batch = examples.fetch(torch.tensor([2, 0, 2]))
        assert batch.dtype == torch.float32
        assert torch.equal(batch, values[[2, 0, 2]].float())


@given(arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 5)] * 3, st.sampled_from([1, 3, 4]))))
def test_uint8_is_mapped_to_minus_one_to_one_and_back(pixels):
    batch = Examples(pixels).fetch(torch.arange(len(pixels)))
    assert batch.min() >= -1
    assert batch.max() <= 1
    back = ((batch + 1) * 127.5).round().to(torch.uint8).numpy()
    assert np.array_equal(np.moveaxis(back, 1, 3), pixels)


def test_black_is_minus_one_and_white_is_one():
    batch = Examples(np.array([[[0, 255]]], dtype=np.uint8)).fetch(torch.tensor([0]))
    assert batch.tolist() == [[[[-1.0, 1.0]]]]


def test_uint8_arrays_have_channels_last_and_tensors_first():
    assert Examples(np.zeros((2, 5, 6, 3), np.uint8)).shape == (3, 5, 6)
    assert Examples(np.zeros((2, 3, 5, 6), np.uint8)).shape == (3, 5, 6)
    assert Examples(np.zeros((2, 5, 6), np.uint8)).shape == (1, 5, 6)
    assert Examples(torch.zeros(2, 3, 5, 3, dtype=torch.uint8)).shape == (3, 5, 3)
    assert Examples(torch.zeros(2, 5, 6, dtype=torch.uint8)).shape == (1, 5, 6)
    assert Examples(np.zeros((2, 7), np.uint8)).shape == (7,)


def test_vectors_are_examples():
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


def test_data_sets_of_torch_and_lists_are_sources():
    values = torch.rand(6, 2)
    assert torch.equal(Examples(TensorDataset(values, torch.arange(6))).fetch(ALL), values[:4])
    assert torch.equal(Examples(Subset(TensorDataset(values), [5, 4, 3, 2])).fetch(ALL), values[[5, 4, 3, 2]])
    assert torch.equal(Examples(list(values)).fetch(ALL), values[:4])


def test_examples_of_examples_read_the_same_source():
    first = Examples(torch.rand(4, 2))
    assert Examples(first).source is first.source


def test_whole_batches_are_fetched_if_the_source_has_them():
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


def test_a_batch_of_another_length_or_shape_is_refused():
    with pytest.raises(UsageError, match="returned 1 items for 4 indices"):
        Examples(Batched(lambda indices: torch.zeros(1, 2))).fetch(ALL)
    with pytest.raises(UsageError, match=r"example 0 has shape \(4,\) but the first has \(1,\)"):
        Examples(Batched(lambda indices: torch.zeros(len(indices), len(indices)))).fetch(ALL)


def test_an_empty_batch_can_be_fetched():
    for source in (torch.rand(4, 2, 3), list(torch.rand(4, 2, 3))):
        assert Examples(source).fetch(torch.zeros(0, dtype=torch.long)).shape == (0, 2, 3)


def test_a_fetched_batch_shares_no_memory_with_the_source():
    values = torch.zeros(4, 2, requires_grad=True)
    batch = Examples(values).fetch(ALL)
    assert not batch.requires_grad
    batch.add_(1)
    assert torch.equal(values, torch.zeros(4, 2))


def test_an_item_of_another_shape_is_named():
    examples = Examples([torch.zeros(3), torch.zeros(3), torch.zeros(4)])
    with pytest.raises(UsageError, match=r"example 2 has shape \(4,\) but the first has \(3,\)"):
        examples.fetch(torch.tensor([0, 2]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e300])
def test_an_example_that_is_not_finite_is_named(bad):
    values = torch.zeros(5, 2, dtype=torch.float64)
    values[3, 1] = bad
    for source in (values, list(values)):
        with pytest.raises(UsageError, match="example 3 contains NaN or infinity"):
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
        (Endless(), "a Endless is not a data set"),
        (3, "a int is not a data set"),
        ({"train": [], "test": []}, "mapping with the keys train, test"),
        (torch.zeros(3, 2, dtype=torch.long), "type torch.int64"),
        (np.zeros((3, 2), bool), "type bool"),
        (["a"], "an item is a str"),
        ([3.0], "an item is a float"),
        ([()], "an item is a tuple"),
        ([{"a": np.zeros(2), "b": np.zeros(2)}], "keys a, b: expected one of image"),
        ([{"a": 1}], "keys a: expected one of image"),
        (torch.full((1, 2), float("nan")), "example 0 contains NaN"),
    ],
)
def test_what_is_not_a_data_set_is_refused_in_one_line(source, message):
    with pytest.raises(UsageError, match=message) as error:
        Examples(source)
    assert "\n" not in str(error.value)
