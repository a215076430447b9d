"""The kit's checks of settings: the built-in parts pass, and each planted fault fails exactly its checks."""

from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import pytest
import torch
from faulty.settings import BEHIND, FAULTS, NAN, TYPES, listed, only_for_python, unknown_fact
from torch import Tensor

from ebmkit.errors import UsageError, check
from ebmkit.methods.update import Update
from ebmkit.registry.component import KINDS
from ebmkit.registry.lookup import get_registry
from ebmkit.testing import kit
from ebmkit.testing import settings as home
from ebmkit.testing.kit import Subject

EVERYTHING = {name: one for name, one in kit.checks("data").items() if one.__module__ == home.__name__}


def good(
    *,
    count: int,
    scale: float = 1.0,
    ends: tuple[float, float] | None = None,
    mode: Literal["a", "b"] = "a",
    mean: float | tuple[float, ...] | Tensor = 0.0,
    deep: tuple[tuple[int, str], ...] = (),
) -> Tensor:
    """Zeros.

    Args:
        count: Number of rows.
        scale: A scale.
        ends: The first end,
            and the last.
        mode: One of two.
        mean: Number or numbers.
        deep: Pairs.
    """
    check("scale", scale)
    for name, given in {"ends": ends or (), "mean": mean if isinstance(mean, tuple) else (mean,)}.items():
        for one in given:
            check(f"{name}'s number", float(one))
    return torch.zeros(count, 2)


def failed(part: Subject) -> dict[str, str]:
    outcomes = [kit.outcome(name, one, part) for name, one in EVERYTHING.items()]
    return {one.check: one.reason for one in outcomes if one.verdict == "failed"}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_exactly_its_checks(fault):
    target, settings, expected = FAULTS[fault]
    found = failed(Subject("data", target, settings))
    assert set(found) == expected, found
    assert not [reason for reason in found.values() if "\n" in reason]


def test_every_check_detects_a_fault():
    assert set().union(*(expected for _, _, expected in FAULTS.values())) == set(EVERYTHING)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_these_checks(kind):
    assert EVERYTHING.items() <= kit.checks(kind).items()


def test_a_valid_part_passes_every_check():
    assert failed(Subject("data", good, {"count": 3})) == {}
    assert failed(Subject("data", partial(good, count=3, scale=2.0))) == {}


@pytest.mark.parametrize("setting", ["sizes", "parts", "one"])
def test_a_setting_without_a_usable_type_is_named(setting):
    target = listed if setting == "sizes" else only_for_python
    reason = failed(Subject("data", target)).get(TYPES, "")
    # `list[int] | None` can be given as none, and the first that cannot is the one that is named.
    assert reason.startswith("parts ")


def test_facts_depend_on_the_kind():
    for kind, facts in {"energy": ("shape",), "init": ("shape",), "sampler": (), "watcher": ()}.items():
        assert (BEHIND in failed(Subject(kind, unknown_fact))) == (facts == ())


def late(updates: Iterator[Update], *, scale: float = 1.0) -> Iterator[Update]:
    """Checks its settings when it starts.

    Args:
        scale: A scale.
    """
    check("scale", scale)
    yield from updates


def images_only(updates: Iterator[Update], examples: Any, *, scale: float = 1.0) -> Iterator[Update]:
    """Refuses points.

    Args:
        scale: A scale.
    """
    if len(examples.shape) != 3:
        raise UsageError("only for images")
    check("scale", scale)
    yield from updates


def accepting_watcher(updates: Iterator[Update], folder: Any, *, scale: float = 1.0) -> Iterator[Update]:
    """Accepts NaN, and writes a file.

    Args:
        scale: A scale.
    """
    for update in updates:
        (folder / "scale").write_text(str(scale))
        yield update


def test_a_watcher_may_refuse_at_its_first_update(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for watcher in (late, images_only):
        assert failed(Subject("watcher", watcher)) == {}
    assert set(failed(Subject("watcher", accepting_watcher))) == {NAN}
    assert not list(tmp_path.iterdir())


BUILT_IN = [
    (kind, one) for kind in KINDS for one in get_registry().of_kind(kind) if one.plugin.package == "shortrun-ebmkit"
]


@pytest.mark.parametrize(("kind", "component"), BUILT_IN, ids=[f"{kind}-{one.name}" for kind, one in BUILT_IN])
def test_settings_of_built_in_parts_conform(kind, component):
    shape = (1, 8, 8) if component.name in ("convnet", "resnet") else (2,)
    assert failed(Subject(kind, component.load(), shape=shape)) == {}
