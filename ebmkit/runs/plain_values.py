"""States of tensors and plain values, which are saved and read without executing code."""

import io
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ebmkit.errors import UsageError


def read_back(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A state as it is after it was saved and read.

    Raises:
        UsageError: naming what is neither a tensor nor a plain value; `name` says whose state it is.
    """
    try:
        return dict(_round_trip(state))
    except Exception:
        check_plain(state, name)
        raise


def check_plain(state: Any, name: str) -> None:
    """Refuse a state with a value that cannot be saved and read without executing code.

    Raises:
        UsageError: for the first such value; `name` says whose state it is.
    """
    for place, value in _unreadable(state, ""):
        raise UsageError(
            f"{name} cannot be saved and read again: {place.removeprefix('.')} is a {type(value).__module__}."
            f"{type(value).__qualname__}; use tensors, numbers, strings, lists and dicts"
        )


def _round_trip(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def _unreadable(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The values inside that cannot be read after they were saved, each with its place."""
    if type(value) in (dict, OrderedDict):
        for key, part in value.items():
            yield from _unreadable(key, f"a key of {place or 'it'}")
            yield from _unreadable(part, f"{place}.{key}")
    elif type(value) in (list, tuple):
        for index, part in enumerate(value):
            yield from _unreadable(part, f"{place}[{index}]")
    else:
        try:
            _round_trip(value)
        except Exception:
            yield place, value
