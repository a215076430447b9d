"""`study.toml`: what is recorded, what may be added to it, and what is refused as another study."""

import pytest
from studies import SETTINGS, small

from ebmkit.config.layers import typed
from ebmkit.errors import UsageError
from ebmkit.study.folder import Study
from ebmkit.study.toml_file import read_study, study_text

VARY = {"sampler.steps": [2, 3], "optimizer.lr": [0.01, 0.1]}


def saved(folder, **settings):
    study = small(folder, **{"vary": VARY, **settings})
    study.save()
    return study


def test_a_study_is_read_back_as_it_was(tmp_path):
    vary = [
        {"sampler.clamp": [None, (-1.0, 1.0)], "optimizer.betas": [(0.0, 0.99), (0.9, 0.999)]},
        {"energy.activation": ["silu", "relu"]},
    ]
    before = saved(tmp_path / "a", vary=vary)
    after = Study(tmp_path / "a")
    assert [cell.name for cell in after.cells] == [cell.name for cell in before.cells]
    assert [cell.recipe.sections for cell in after.cells] == [cell.recipe.sections for cell in before.cells]
    assert study_text(after.plan) == study_text(before.plan)


def test_the_file_of_a_study_makes_the_same_study_elsewhere(tmp_path):
    before = saved(tmp_path / "a")
    after = Study(tmp_path / "b", **read_study(tmp_path / "a" / "study.toml"))
    assert study_text(after.plan) == study_text(before.plan)


def test_a_plan_is_written_in_the_order_in_which_it_is_read(tmp_path):
    layer = typed(["watch.pictures.every=0", "energy.width=4", "optimizer.lr=0.1"])
    study = Study(tmp_path / "a", layer, vary={"optimizer.lr": [0.1, 0.2]})
    study.save()
    assert study_text(Study(tmp_path / "a").plan) == study_text(study.plan)


def test_a_path_is_recorded_as_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layer = typed(["data.use=arrays", "data.path=rows.npy"])
    study = Study("a", layer, vary={"sampler.steps": [2, 3]})
    assert study.plan.base["data"]["path"] == tmp_path / "rows.npy"


def test_the_same_grid_goes_on(tmp_path):
    before = saved(tmp_path / "a")
    assert study_text(small(tmp_path / "a", vary=VARY).plan) == study_text(before.plan)


def test_seeds_and_values_can_be_added(tmp_path):
    saved(tmp_path / "a", vary={"sampler.steps": [2, 3]})
    study = small(tmp_path / "a", vary={"sampler.steps": [4, 3, 2]}, seeds=3)
    assert [point["sampler.steps"] for point in study.plan.grid] == [2, 3, 4]
    assert study.plan.seeds == 3
    assert Study(tmp_path / "a", seeds=5).plan.seeds == 5


def test_measures_can_be_chosen_again(tmp_path):
    saved(tmp_path / "a")
    assert Study(tmp_path / "a", measures=["recall"]).plan.measures == ("recall",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vary": {"sampler.steps": [2]}}, "it varies sampler.steps x optimizer.lr, not sampler.steps "),
        ({"vary": {**VARY, "sampler.steps": [2, 9]}}, "sampler.steps had 3 too"),
        ({"vary": [{key: values for key, values in VARY.items()}]}, "not sampler.steps with optimizer.lr"),
        ({"seeds": 1}, "seeds were 2, now 1"),
        ({"train": {"iterations": 9}}, "train.iterations was 3, now 9"),
        ({"init": {"use": "gaussian"}}, "init.use was not given, now gaussian"),
        (
            {"data": {"count": 90}},
            "data.count was 80, now 90 .*if the data have moved, change their path in study.toml;",
        ),
    ],
)
def test_another_study_is_refused_with_the_difference(tmp_path, changes, message):
    saved(tmp_path / "a")
    before = (tmp_path / "a" / "study.toml").read_bytes()
    with pytest.raises(UsageError, match=message) as raised:
        small(tmp_path / "a", **{"vary": VARY, **changes})
    assert "\n" not in str(raised.value)
    assert (tmp_path / "a" / "study.toml").read_bytes() == before


def test_another_evaluation_is_refused(tmp_path):
    saved(tmp_path / "a")
    with pytest.raises(UsageError, match="another study: n was 30, now 31"):
        Study(tmp_path / "a", n=31)
    with pytest.raises(UsageError, match=r"features.use was pixels, now digits"):
        Study(tmp_path / "a", features={"use": "digits"})


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"has no study.toml: say what varies"):
        Study(tmp_path / "a")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").touch()
    with pytest.raises(UsageError, match="is the folder of a run, not of a study"):
        small(tmp_path / "run")


def test_a_configuration_is_a_study_without_a_grid(tmp_path):
    (tmp_path / "k.toml").write_text("[sampler]\nsteps = 7\n")
    study = Study(tmp_path / "a", **read_study(tmp_path / "k.toml"))
    assert [cell.recipe.sections["sampler"]["steps"] for cell in study.cells] == [7, 7, 7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[study]\nseed = 3\n", "k.toml:1: study has no key 'seed'. Did you mean 'seeds'"),
        ("[study]\nseeds = '3'\n", "study.seeds must be of type int, not '3'"),
        ("study = 3\n", "study is a table, written"),
        ("[[study.vary]]\nsampler.steps = [1]\n", "lists by section.key in quotes"),
        ("[sampler]\nsteps = 3\n[studi]\n", "k.toml:3: unknown section 'studi'"),
        ("[study\n", "is not valid TOML"),
    ],
)
def test_a_file_that_is_no_study_is_refused(tmp_path, text, message):
    (tmp_path / "k.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        Study(tmp_path / "a", **read_study(tmp_path / "k.toml"))


def test_unknown_measures_and_features_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"unknown measure 'precison'. Did you mean 'precision'"):
        Study(tmp_path / "a", SETTINGS, measures=["precison"])
    with pytest.raises(UsageError, match="at least one measure"):
        Study(tmp_path / "a", SETTINGS, measures=[])
    with pytest.raises(UsageError, match="features"):
        Study(tmp_path / "a", SETTINGS, features={"use": "digitz"})
    with pytest.raises(UsageError, match="size"):
        Study(tmp_path / "a", SETTINGS, features={"use": "pixels", "sizes": 4})
