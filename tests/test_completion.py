"""Completion of names, settings and values by the shell."""

from types import SimpleNamespace

import pytest
from commands import invoked

from ebmkit.cli import complete
from ebmkit.registry.component import KINDS
from ebmkit.registry.lookup import get_registry

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


def context(**params: str) -> SimpleNamespace:
    return SimpleNamespace(params=params)


def test_kinds_and_names_are_completed():
    assert complete.kinds("") == list(KINDS)
    assert complete.kinds("s") == ["sampler"]
    assert complete.names(context(kind="sampler"), "") == get_registry().names("sampler")
    assert complete.names(context(kind="sampler"), "la") == ["langevin"]
    assert complete.names(context(kind="nonsense"), "") == []
    assert complete.names_of("energy")("conv") == ["convnet"]


def test_presets_are_completed():
    assert complete.preset_names("short") == ["short-run-code"]
    assert "nijkamp2019-cifar10" in complete.preset_names("")
    assert complete.names(context(kind="preset"), "short") == ["short-run-code"]
    assert complete.listed_kinds("pre") == ["presets"]
    assert complete.shown_kinds("pre") == ["preset"]


def test_settings_of_the_chosen_parts_are_completed():
    assert complete.settings(context(sampler="hmc"), "sampler.l") == ["sampler.leapfrog="]
    assert complete.settings(context(), "sampler.l") == []
    assert complete.settings(context(), "train.iter") == ["train.iterations="]
    assert "optimizer.lr=" in complete.settings(context(), "opt")
    assert "watch.pictures.every=" in complete.settings(context(), "watch.")


def test_values_that_a_setting_lists_are_completed():
    assert complete.settings(context(), "energy.activation=re") == ["energy.activation=relu"]
    assert complete.settings(context(sampler="hmc"), "sampler.adjust=") == [
        "sampler.adjust=true",
        "sampler.adjust=false",
    ]


def test_completion_with_an_unknown_part_is_silent():
    assert complete.settings(context(sampler="nonsense"), "sampler.") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ebmkit train --sampler h", ["hmc"]),
        ("ebmkit show init re", ["replay"]),
        ("ebmkit train --sampler hmc -s sampler.leap", ["sampler.leapfrog="]),
        ("ebmkit train --preset short", ["short-run-code"]),
        ("ebmkit show preset short", ["short-run-code"]),
        ("ebmkit copy preset short", ["short-run-code"]),
    ],
)
def test_the_shell_gets_the_names(line, expected):
    env = {"_EBMKIT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    assert invoked(env=env)[0].split() == expected
