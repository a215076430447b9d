"""What every data set must do: return examples in [-1, 1], the same ones each time."""

from typing import Any

import torch
from torch import Tensor

from ebmkit.config.settings import REQUIRED, signature
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.testing.globals import changed_by, seeded
from ebmkit.testing.kit import NotPromised, Subject, require

# Items are read this many at a time.
CHUNK = 1000
# This many items are also read one by one, and a second time.
SOME = 32


def data_are_examples(subject: Subject) -> None:
    """`Examples` accepts it and fetches float32 `(n, *shape)`, for n = 0 and n = 1.

    A data set is a tensor or array `(N, *shape)`, or a map-style data set, with at least one example.
    """
    try:
        examples = Examples(subject.make())
        for count in (0, 1):
            examples.fetch(torch.arange(count))
    except UsageError as error:
        require(False, f"{error}; return a tensor (N, *shape), or an object with __len__ and __getitem__")


def data_have_one_shape_and_are_finite(subject: Subject) -> None:
    """Every example can be read, has the shape of the first, and holds no NaN and no infinity."""
    examples = _examples(subject)
    for indices in _chunks(examples):
        try:
            examples.fetch(indices)
        except UsageError as error:
            require(False, f"{error}; check every file or row when the data set is built")


def images_are_in_their_range(subject: Subject) -> None:
    """The pixels of images `(C, H, W)` are in [-1, 1], and not all in [0, 1]: black is -1."""
    examples = _examples(subject)
    if len(examples.shape) != 3:
        raise NotPromised("images, examples (C, H, W)")
    ends = torch.stack([torch.stack(examples.fetch(indices).aminmax()) for indices in _chunks(examples)])
    low, high = float(ends.min()), float(ends.max())
    require(
        low >= -1 and high <= 1 and low < 0,
        f"pixels are in [{low:.4g}, {high:.4g}]; return uint8, or floats in [-1, 1]: scale [0, 1] by 2 * x - 1",
    )


def items_repeat(subject: Subject) -> None:
    """The same index gives the same example again, by itself or among others, in any order."""
    examples = _examples(subject)
    indices = torch.arange(min(SOME, len(examples)))
    first = examples.fetch(indices)
    advice = "an item must depend only on its index: do not augment, and keep no position in a file"
    require(torch.equal(first, examples.fetch(indices)), f"fetched twice the examples differ; {advice}")
    turned = examples.fetch(indices.flip(0)).flip(0)
    require(torch.equal(first, turned), f"fetched in another order the examples differ; {advice}")
    single = torch.cat([examples.fetch(index) for index in _chunks(examples, 1)[:SOME]])
    require(torch.equal(first, single), f"fetched one by one the examples differ; {advice}")


def data_repeat_when_built_again(subject: Subject) -> None:
    """Built twice, it has the same examples in the same order, whatever the global seeds are."""
    with seeded(1):
        one = _sample(_examples(subject))
    with seeded(2):
        other = _sample(_examples(subject))
    require(
        torch.equal(one, other),
        "built twice, it is not the same; sort the files of a folder, and draw from torch.Generator().manual_seed(...)",
    )


def data_leave_global_randomness_unchanged(subject: Subject) -> None:
    """Building and fetching leave torch's, numpy's and Python's generators as they were."""
    found = changed_by(lambda: _sample(_examples(subject)))
    require(not found, f"it changed the random state of {found}; use a torch.Generator of its own, no global seed")


def seeds_change_the_data(subject: Subject) -> None:
    """Where there is a setting `seed`, another seed gives other examples."""
    setting = signature(subject.target).settings.get("seed")
    if setting is None:
        raise NotPromised("a setting `seed`")
    given = subject.settings.get("seed", 0 if setting.default in (REQUIRED, None) else setting.default)
    one, other = (_sample(Examples(subject.make(settings={"seed": seed}))) for seed in (given, given + 1))
    require(not torch.equal(one, other), f"seeds {given} and {given + 1} give the same data; use manual_seed(seed)")


def _examples(subject: Subject) -> Examples:
    data: Any = subject.make()
    return Examples(data)


def _chunks(examples: Examples, size: int = CHUNK) -> list[Tensor]:
    """All indices, `size` at a time."""
    count = len(examples)
    return [torch.arange(start, min(start + size, count)) for start in range(0, count, size)]


def _sample(examples: Examples) -> Tensor:
    """Up to `CHUNK` examples, evenly spread over all of them."""
    indices = torch.linspace(0, len(examples) - 1, min(CHUNK, len(examples)), dtype=torch.float64)
    return examples.fetch(indices.long())
