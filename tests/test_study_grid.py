"""The grid of a study: lists on the command line, axes, cells and their names."""

import pytest
from studies import small

from ebmkit.errors import UsageError
from ebmkit.study.lists import split, typed_grid
from ebmkit.study.plan import cell_name, labels_of
from ebmkit.study.planning import axes_of, plan_of


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5", ["5"]),
        ("5,10, 25", ["5", "10", "25"]),
        ("[0.0,0.99]", ["[0.0,0.99]"]),
        ("[0.0,0.99],[0.9,0.999]", ["[0.0,0.99]", "[0.9,0.999]"]),
        ("[[1,2],[3]],none", ["[[1,2],[3]]", "none"]),
        ('"a,b",c', ['"a,b"', "c"]),
        ('["a]","b,c"],d', ['["a]","b,c"]', "d"]),
        ("it's,that's", ["it's", "that's"]),
        ("5,,6", ["5", "", "6"]),
    ],
)
def test_commas_separate_values_except_in_brackets(text, values):
    assert split(text) == values


def grid(settings, zipped=()):
    layer, axes = typed_grid(settings, zipped)
    given = {f"{section}.{key}": one.value for section, keys in layer.sections.items() for key, one in keys.items()}
    return given, [{path: [one.value for one in values] for path, values in axis.items()} for axis in axes]


def test_single_values_are_fixed_and_lists_are_axes():
    assert grid(["sampler.steps=5,10", "energy.width=4", "optimizer.lr=0.1,0.2,0.3"]) == (
        {"energy.width": 4},
        [{"sampler.steps": [5, 10]}, {"optimizer.lr": [0.1, 0.2, 0.3]}],
    )


def test_a_value_in_brackets_stays_one_value():
    assert grid(["optimizer.betas=[0.0,0.99]"]) == ({"optimizer.betas": [0.0, 0.99]}, [])
    assert grid(["optimizer.betas=[0.0,0.99],[0.9,0.999]"])[1] == [{"optimizer.betas": [[0.0, 0.99], [0.9, 0.999]]}]


def test_zip_runs_along_with_the_list_of_its_length():
    settings = ["sampler.steps=5,10", "optimizer.lr=0.1,0.2,0.3"]
    assert grid(settings, ["train.data_noise=3,2,1", "train.average=none,0.9"])[1] == [
        {"sampler.steps": [5, 10], "train.average": ["none", 0.9]},
        {"optimizer.lr": [0.1, 0.2, 0.3], "train.data_noise": [3, 2, 1]},
    ]


@pytest.mark.parametrize(
    ("settings", "zipped", "message"),
    [
        (["sampler.steps=5,10"], ["train.average=1,2,3"], "--zip train.average has 3 values, .*sampler.steps has 2"),
        (["sampler.steps=5,10", "energy.width=4,8"], ["train.average=1,2"], r"exactly one list of -s .*\[\[study.vary"),
        (["sampler.steps=5,10"], ["train.average=1"], r"has 1 value, and must .* \(sampler.steps has 2\)$"),
        ([], ["train.average=1,2"], "there is none"),
        (["sampler.steps=5,10"], ["sampler.steps=1,2"], "sampler.steps is given twice: by -s and by --zip"),
        (["sampler.steps=5", "energy.width=1,2"], ["sampler.steps=1,2"], "given twice: by -s and by --zip"),
        (["sampler.steps=5,10", "sampler.steps=1,2"], [], "sampler.steps is given twice on the command line"),
        (["sampler.steps=5,"], [], "has an empty value"),
        (["steps=5,10"], [], "takes section.key=value,value"),
    ],
)
def test_lists_that_make_no_grid_are_refused(settings, zipped, message):
    with pytest.raises(UsageError, match=message):
        typed_grid(settings, zipped)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("samplr.steps=5,10", r"^-s samplr\.steps: unknown section 'samplr'\. Did you mean 'sampler'"),
        ("features.size=4,8", r"^-s features\.size: unknown section 'features'"),
    ],
)
def test_sections_that_a_run_does_not_have_cannot_vary(setting, message):
    layer, axes = typed_grid([setting], [])
    with pytest.raises(UsageError, match=message):
        plan_of(layer, axes)


def test_axes_multiply_and_settings_of_one_axis_do_not(tmp_path):
    study = small(tmp_path / "a", [{"sampler.steps": [2, 3], "optimizer.lr": [0.1, 0.2]}, {"energy.width": [4, 5, 6]}])
    assert [tuple(point.values()) for point in study.plan.grid] == [
        *((2, 0.1, width) for width in (4, 5, 6)),
        *((3, 0.2, width) for width in (4, 5, 6)),
    ]
    assert len(study.cells) == 12
    assert len({cell.name for cell in study.cells}) == 12


def test_cells_have_the_settings_of_their_point(tmp_path):
    vary = {"sampler.steps": [2, 3], "optimizer.lr": [0.01, 0.1]}
    study = small(tmp_path / "a", vary, train={"seed": 7})
    found = [
        (one["sampler"]["steps"], one["optimizer"]["lr"], one["train"]["seed"], one["train"]["iterations"])
        for one in (cell.recipe.sections for cell in study.cells)
    ]
    points = [(2, 0.01), (2, 0.1), (3, 0.01), (3, 0.1)]
    assert found == [(*point, seed, 3) for seed in (7, 8) for point in points]
    assert study.cells[1].name == "steps=2,lr=0.1,seed=7"


def test_a_cell_has_one_thread_unless_threads_are_given(tmp_path):
    assert small(tmp_path / "a").cells[0].recipe.train.threads == 1
    assert small(tmp_path / "a", train={"threads": 2}).cells[0].recipe.train.threads == 2


def test_parts_can_vary_with_settings_of_their_own(tmp_path):
    study = small(tmp_path / "a", [{"energy.use": ["gaussian", "mlp"]}])
    assert [cell.name for cell in study.cells][:2] == ["energy=gaussian,seed=0", "energy=mlp,seed=0"]
    assert study.cells[1].recipe.sections["energy"]["width"] == 4
    assert "width" not in study.cells[0].recipe.sections["energy"]


def test_a_name_keeps_apart_what_it_cannot_hold():
    one, other = cell_name({"path": "a b"}, 0), cell_name({"path": "a/b"}, 0)
    assert one != other
    assert all("/" not in name and " " not in name for name in (one, other))
    names = {cell_name({"key": "x" * 39, **{f"k{i}": "y" * 30 for i in range(9)}, "z": z}, 0) for z in "ab"}
    assert len(names) == 2
    assert all(len(name) < 130 for name in names)


def test_labels_are_short_where_they_are_unique():
    assert labels_of(["sampler.steps", "energy.use"]) == {"sampler.steps": "steps", "energy.use": "energy"}
    assert labels_of(["a.limit", "b.limit"]) == {"a.limit": "a.limit", "b.limit": "b.limit"}


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"train.seed": [1, 2]}, "train.seed does not vary in the grid"),
        (
            [{"sampler.steps": [1, 2], "optimizer.lr": [1]}],
            "equally many values: sampler.steps has 2, optimizer.lr has",
        ),
        ([{"sampler.steps": [1]}, {"sampler.steps": [2]}], "sampler.steps varies twice"),
        ({"sampler.steps": "5,10"}, "must vary over a list of values"),
        ({"sampler.steps": []}, "must vary over a list of values"),
        ([{}], "equally many values: there are none"),
    ],
)
def test_axes_that_make_no_grid_are_refused(vary, message):
    with pytest.raises(UsageError, match=message):
        axes_of(vary)


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"sampler.stepz": [1, 2]}, "sampler has no setting 'stepz'.*steps"),
        ({"sampler.steps": [2, "many"]}, "sampler.steps must be int, not 'many'"),
        ({"sampler.steps": [2, -1]}, "sampler.*steps must be at least"),
        ({"sampler.steps": [2, 2.0]}, "the grid has steps=2 twice"),
        ({"steps": [1, 2]}, "section.key, like sampler.steps, not 'steps'"),
    ],
)
def test_values_that_a_cell_cannot_use_are_refused_at_once(vary, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        small(tmp_path / "a", vary)
    assert not (tmp_path / "a").exists()


def test_a_study_has_at_least_one_seed(tmp_path):
    with pytest.raises(UsageError, match="seeds must be at least 1, not 0"):
        small(tmp_path / "a", seeds=0)
