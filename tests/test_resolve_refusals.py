"""What is wrong in layers of settings: one line, with the nearest name and the owner."""

from pathlib import Path

import pytest

from ebmkit.config.layers import typed
from ebmkit.config.resolution import resolve
from ebmkit.errors import UsageError
from ebmkit.registry.lookup import register


def refused(match, *layers):
    with pytest.raises(UsageError, match=match) as error:
        resolve([typed(layer) if isinstance(layer, list) else layer for layer in layers])
    assert "\n" not in str(error.value)


def test_a_setting_of_another_component_names_its_owner():
    refused(
        r"^sampler has no setting 'leapfrog' \(selected: langevin\)\. 'leapfrog' belongs to sampler 'hmc'\. "
        r"It has: steps=100, step_size=1\.0, .*clip=none",
        ["sampler.leapfrog=3"],
    )
    refused(r"'modes' belongs to data 'gaussians'\.", ["data.modes=3"])
    refused(r"'path' belongs to data 'arrays', 'idx', 'folder'\.", ["data.path=a"])
    refused(r"\(selected: hmc\)", ["sampler.use=hmc", "sampler.noise=1"])


def test_the_nearest_name_is_offered():
    refused(
        r"^sampler has no setting 'stepsize' \(selected: langevin\)\. Did you mean 'step_size'\? ",
        ["sampler.stepsize=1"],
    )
    refused(r"^unknown sampler 'langvin'\. Did you mean 'langevin'\? Installed: langevin, hmc", ["sampler.use=langvin"])
    refused(r"^train has no setting 'sed'\. Did you mean 'seed'\? It has: iterations=400", ["train.sed=1"])
    refused(
        r"^watch\.metrics has no setting 'evry' \(selected: metrics\)\. Did you mean 'every'\?",
        ["watch.metrics.evry=1"],
    )
    refused(r"^unknown watcher 'metric'\. Did you mean 'metrics'\?", ["watch.metric.every=1"])
    refused(r"^optimizer has no setting 'betass' \(selected: adam\)\. Did you mean 'betas'\?", ["optimizer.betass=1"])


def test_a_name_that_is_near_no_other_gets_no_guess():
    refused(r"^sampler has no setting 'zzz' \(selected: langevin\)\. It has: ", ["sampler.zzz=1"])


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("sampler.steps=ten", r"^sampler\.steps must be int, not 'ten'\.$"),
        ("sampler.steps=1.5", r"^sampler\.steps must be int, not '1\.5'\.$"),
        ("sampler.clamp=1", r"^sampler\.clamp must be \[float, float\] \| none, not '1'\.$"),
        ("energy.activation=silo", r"^energy\.activation must be .*, not 'silo'\. Did you mean 'silu'\?$"),
        ("train.precision=fp16", r"^train\.precision must be auto \| fp32 \| bf16 \| tf32, not 'fp16'\. Did you mean"),
        ("sampler.use=3", r"^unknown sampler '3'\."),
    ],
)
def test_a_typed_value_of_another_type_is_refused(pair, message):
    refused(message, [pair])


def test_a_missing_required_setting_is_named_with_its_help():
    refused(r"^data 'folder' needs data\.path \(.+\): -s data\.path=PATH$", ["data.use=folder"])
    assert resolve([typed(["data.use=folder", "data.path=2024"])]).sections["data"]["path"] == Path("2024").absolute()


def test_an_optimiser_that_is_unknown_or_unfit_is_refused():
    refused(r"^unknown optimizer 'adan'\. Did you mean 'adam'\? Installed: .*adam, .*sgd", ["optimizer.use=adan"])
    for unfit in ("lbfgs", "sparseadam", "optimizer"):
        refused(rf"^unknown optimizer '{unfit}'\.", [f"optimizer.use={unfit}"])


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (lambda **settings: None, r"takes \*\*settings: every setting needs a name of its own"),
        (lambda *, use="a": None, r"a setting cannot be called 'use', which names the component"),
        (type, r"no signature found|not supported"),
    ],
)
def test_a_component_with_an_unreadable_signature_is_refused(fresh_registry, target, reason):
    register("sampler", "mine", target)
    refused(rf"^sampler 'mine' of registered in this session cannot be used: .*{reason}", ["sampler.use=mine"])


def test_a_component_that_does_not_import_spoils_no_hints(fresh_registry):
    register("sampler", "mine", "nowhere.at_all:Sampler")
    refused(
        r"^sampler 'mine' of registered in this session does not import: ModuleNotFoundError: No module named 'nowhere'"
        r" \(nowhere\.at_all:Sampler\)$",
        ["sampler.use=mine"],
    )
    refused(r"'leapfrog' belongs to sampler 'hmc'\.", ["sampler.leapfrog=3"])
