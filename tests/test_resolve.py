"""Layers of settings merged to a recipe: which value wins, and what is dropped."""

import types
import typing
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ebmkit.config.layers import loads, typed
from ebmkit.config.optimizers import find_optimizer
from ebmkit.config.resolution import WATCHERS, asked_by, resolve
from ebmkit.config.settings import REQUIRED
from ebmkit.config.tables import toml
from ebmkit.errors import UsageError
from ebmkit.registry.builtin import datasets, energies, inits, samplers, watchers
from ebmkit.registry.lookup import get_registry, register

TEXT = st.text(st.characters(exclude_categories=["Cs"]))

MASS = torch.ones(2)

BUILT_IN = {"energy": energies(), "sampler": samplers(), "init": inits(), "data": datasets()}


def values(annotation):
    """Values that a user may give for an annotation; None where only Python can."""
    origin, members = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        known = [one for member in members if (one := values(member)) is not None]
        return st.one_of(known) if known else None
    if origin is Literal:
        return st.sampled_from(members)
    if origin is tuple and members[-1] is Ellipsis:
        return st.lists(values(members[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(values(member) for member in members))
    floats = st.floats(allow_nan=False)
    plain = {int: st.integers(), float: floats, bool: st.booleans(), str: TEXT, type(None): st.none(), Any: floats}
    plain[Path] = TEXT.map(lambda text: Path("/" + text))
    return plain.get(annotation)


@st.composite
def typed_layers(draw):
    """A command line: components by name, then any of their settings."""
    names = {part: draw(st.sampled_from(list(BUILT_IN[part]))) for part in BUILT_IN}
    names["optimizer"] = draw(st.sampled_from(["adam", "sgd", "adamw", "rmsprop"]))
    pairs = [f"{part}.use={name}" for part, name in names.items()]
    for path, setting in asked_by([typed(pairs)]).items():
        strategy = values(setting.annotation)
        if strategy is not None and (setting.default is REQUIRED or draw(st.integers(0, 3)) == 0):
            pairs.append(f"{path}={toml(draw(strategy))}")
    return typed(pairs)


@settings(max_examples=40)
@given(typed_layers())
def test_a_recipe_as_toml_gives_the_same_recipe(layer):
    recipe = resolve([layer])
    again = resolve([loads(recipe.toml(with_origins=True), "config.toml")])
    assert again.sections == recipe.sections
    assert again.parts == recipe.parts
    assert again.notes == ()
    assert resolve([loads(recipe.toml(), "config.toml")]).sections == recipe.sections


PARTS = ("method", "energy", "sampler", "init", "data", "optimizer")


def test_no_layers_give_the_default_recipe():
    recipe = resolve([])
    assert {part: recipe.parts[part].name for part in PARTS} == {
        "method": "maximum-likelihood",
        "energy": "convnet",
        "sampler": "langevin",
        "init": "uniform",
        "data": "digits",
        "optimizer": "adam",
    }
    assert recipe.sections["sampler"]["steps"] == 100
    assert recipe.settings("sampler")["step_size"] == 1.0
    assert "use" not in recipe.settings("sampler")
    assert set(recipe.origins.values()) == {"default"}


def test_every_section_names_its_component_first():
    recipe = resolve([])
    assert [next(iter(recipe.sections[part])) for part in PARTS] == ["use"] * len(PARTS)
    assert list(recipe.sections) == [*PARTS, "train", *(f"watch.{name}" for name in WATCHERS)]


def test_every_default_of_a_component_is_written_out():
    recipe = resolve([])
    for path, setting in asked_by([]).items():
        section, _, key = path.rpartition(".")
        assert recipe.sections[section][key] == setting.default


def test_later_layers_win_and_every_value_has_its_origin():
    preset = loads("[train]\nseed = 1\nbatch_size = 1\niterations = 1\n", "preset small")
    file = loads("[train]\nbatch_size = 2\niterations = 2\n", "a.toml")
    recipe = resolve([preset, file, typed(["train.iterations=3"])])
    train = recipe.sections["train"]
    assert (train["precision"], train["seed"], train["batch_size"], train["iterations"]) == ("fp32", 1, 2, 3)
    assert [recipe.origins["train", key] for key in ("precision", "seed", "batch_size", "iterations")] == [
        "default",
        "preset small:2",
        "a.toml:2",
        "-s train.iterations",
    ]
    assert "batch_size = 2  # a.toml:2" in recipe.toml(with_origins=True)
    assert "#" not in recipe.toml()


def test_another_component_drops_earlier_settings_with_a_note():
    file = loads("[sampler]\nuse = 'hmc'\nleapfrog = 3\nsteps = 5\n", "a.toml")
    recipe = resolve([file, typed(["sampler.use=langevin", "sampler.noise=0.5"])])
    assert recipe.notes == ("sampler is now 'langevin': dropped what was set for 'hmc' (leapfrog, steps)",)
    assert recipe.sections["sampler"]["steps"] == 100
    assert recipe.sections["sampler"]["noise"] == 0.5
    assert "leapfrog" not in recipe.sections["sampler"]


def test_settings_of_the_default_component_are_dropped_too():
    recipe = resolve([loads("[sampler]\nnoise = 0.5\n", "a.toml"), typed(["sampler.use=hmc"])])
    assert recipe.notes == ("sampler is now 'hmc': dropped what was set for 'langevin' (noise)",)


def test_the_same_component_named_again_keeps_the_settings():
    file = loads("[sampler]\nuse = 'hmc'\nleapfrog = 3\n", "a.toml")
    for text in ("hmc", '"hmc"', "'hmc'"):
        recipe = resolve([file, typed([f"sampler.use={text}"])])
        assert recipe.sections["sampler"]["leapfrog"] == 3
        assert recipe.notes == ()


def test_optimisers_of_torch_are_found_in_any_case():
    recipe = resolve([typed(["optimizer.use=SGD", "optimizer.momentum=0.9"])])
    assert recipe.parts["optimizer"].load() is torch.optim.SGD
    assert recipe.settings("optimizer")["momentum"] == 0.9
    assert "params" not in recipe.sections["optimizer"]


def test_only_adam_has_a_learning_rate_of_our_own():
    assert resolve([]).sections["optimizer"]["lr"] == 1e-3
    assert resolve([typed(["optimizer.lr=1"])]).sections["optimizer"]["lr"] == 1.0
    assert resolve([typed(["optimizer.use=sgd"])]).sections["optimizer"]["lr"] == 1e-3


def test_every_listed_optimiser_can_be_written_and_read_back():
    with pytest.raises(UsageError) as error:
        find_optimizer("?")
    names = str(error.value).partition("Installed: ")[2].removesuffix(".").split(", ")
    assert {"adam", "adamw", "sgd", "rmsprop"} <= set(names)
    for name in names:
        recipe = resolve([typed([f"optimizer.use={name}"])])
        assert resolve([loads(recipe.toml(), "a")]).sections == recipe.sections


def test_a_watcher_is_switched_on_by_its_section(fresh_registry):
    register("watcher", "mine", lambda updates, *, every=1: updates)
    layer = typed([])
    layer.sections["watch.mine"] = {}
    recipe = resolve([layer])
    assert list(recipe.sections)[-1] == "watch.mine"
    assert recipe.sections["watch.mine"] == {"every": 1}
    assert len(recipe.sections) == len(resolve([]).sections) + 1


def test_each_default_watcher_is_in_every_recipe_once():
    assert set(WATCHERS) | {"report"} == set(watchers())
    sections = list(resolve([typed(["watch.pictures.every=1"])]).sections)
    assert [name for name in sections if name.startswith("watch.")] == [f"watch.{name}" for name in WATCHERS]


def test_a_default_that_toml_cannot_express_is_left_out(fresh_registry):
    def sampler(*, mass: float | Tensor = MASS, hook: Any = print, size: tuple[int, int] = None, noise: float = 1): ...  # noqa: RUF013

    register("sampler", "mine", sampler)
    recipe = resolve([typed(["sampler.use=mine"])])
    assert recipe.sections["sampler"] == {"use": "mine", "noise": 1}
    assert resolve([typed(["sampler.use=mine", "sampler.mass=2", "sampler.size=[1, 2]"])]).sections["sampler"] == {
        "use": "mine",
        "mass": 2.0,
        "size": (1, 2),
        "noise": 1,
    }


def test_the_known_settings_are_those_of_the_chosen_parts():
    assert "sampler.leapfrog" not in asked_by([])
    assert "sampler.leapfrog" in asked_by([typed(["sampler.use=hmc"])])
    assert asked_by([])["train.seed"].type == "int"
    assert asked_by([])["watch.pictures.every"].type == "int | none"


def test_the_parts_of_a_recipe_are_from_the_registry():
    recipe = resolve([typed(["energy.use=mlp"])])
    assert recipe.parts["energy"] == get_registry().find("energy", "mlp")
