"""Settings as tables: written and read as TOML, typed as pairs, from presets; and what is refused."""

import math
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebmkit.config.layers import loads, preset, presets, read, typed
from ebmkit.config.resolution import resolve
from ebmkit.config.tables import dumps, toml
from ebmkit.config.toml_text import line_of
from ebmkit.errors import UsageError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(SCALARS, lambda values: st.lists(values, max_size=3), max_leaves=5)
SECTION = st.sampled_from(["method", "energy", "posterior", "data", "train"]) | TEXT.filter(bool).map("watch.{}".format)
TABLES = st.dictionaries(SECTION, st.dictionaries(TEXT, VALUES, max_size=4), max_size=4)


def plain(layer):
    return {name: {key: one.value for key, one in values.items()} for name, values in layer.sections.items()}


def refused(match, call, *arguments):
    with pytest.raises(UsageError, match=match) as error:
        call(*arguments)
    assert "\n" not in str(error.value)


@given(TABLES)
def test_tables_written_as_toml_are_read_back(tables):
    assert plain(loads(dumps(tables), "a.toml")) == tables


@given(TABLES, TEXT)
def test_comments_do_not_change_the_tables(tables, comment):
    comments = {(section, key): comment for section, values in tables.items() for key in values}
    text = dumps(tables, comments)
    assert plain(loads(text, "a.toml")) == tables
    assert text.count("#") >= len(comments) * bool(comment)


@given(TABLES)
def test_types_survive(tables):
    written, found = tables, plain(loads(dumps(tables), "a.toml"))
    for section, values in written.items():
        assert [type(value) for value in values.values()] == [type(value) for value in found[section].values()]


def test_none_is_written_as_a_word_and_nan_as_nan():
    assert toml(None) == '"none"'
    assert math.isnan(tomllib.loads(f"x = {toml(math.nan)}")["x"])
    assert toml((1, (2.0, "a"))) == '[1, [2.0, "a"]]'


def test_numpy_scalars_are_written_as_numbers():
    assert toml(np.float64(0.5)) == "0.5"


@pytest.mark.parametrize("value", [object(), {"a": 1}, b"a", 1j])
def test_what_toml_cannot_express_is_refused(value):
    with pytest.raises(TypeError, match="no TOML for"):
        toml(value)


def test_every_value_carries_its_file_and_line():
    text = (
        '# a run\n\n[sampler]\nuse = "hmc"\n"step_size" = 0.1\n\n[ watch . pictures ]\n\nevery = 3\n[train]\nseed=1\n'
    )
    sections = loads(text, "a.toml").sections
    assert sections["sampler"]["use"].origin == "a.toml:4"
    assert sections["sampler"]["step_size"].origin == "a.toml:5"
    assert sections["watch.pictures"]["every"].origin == "a.toml:9"
    assert sections["train"]["seed"].origin == "a.toml:11"
    assert sections["train"]["seed"].text is None


def test_the_line_of_a_key_is_that_in_its_own_section():
    text = "[energy]\nwidth = 1\n[sampler]\nwidth = 2\n"
    assert line_of(text, "sampler", "width") == 4
    assert line_of(text, "sampler") == 3
    assert line_of("sampler.width = 2\n", "sampler", "width") == 1


def test_a_file_is_read_as_utf8(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('[data]\npath = "é"\n', encoding="utf-8")
    layer = read(path)
    assert plain(layer) == {"data": {"path": "é"}}
    assert layer.name == str(path)


def test_a_missing_file_is_named_with_the_nearest(tmp_path):
    (tmp_path / "faces.toml").touch()
    refused(
        r"cannot read configuration .*face\.toml: no such file\. Did you mean 'faces\.toml'\?",
        read,
        tmp_path / "face.toml",
    )
    refused("no such file", read, tmp_path / "nowhere" / "a.toml")


def test_a_folder_or_a_binary_file_cannot_be_read(tmp_path):
    refused("cannot read configuration .*directory", read, tmp_path)
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    refused("cannot read configuration .*not UTF-16 .*save it as UTF-8", read, tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[sampler]\nsteps = = 3\n", r"line 2"),
        ("[sampler]\nsteps = hmc\n", r"line 2"),
        ("[sampler]\nsteps = 1\nsteps = 2\n", r"line 3"),
        ("[sampler]\n[sampler]\n", r"line 2"),
        ("[sampler]\nsteps", r"end of document"),
        ("[sampl", r"end of document"),
        ('[data]\npath = "a', r"end of document"),
        (f"[train]\nseed = {'1' * 5000}\n", r"digits"),
        (f"[train]\nseed = {'[' * 5000}\n", r"recursion|nest"),
    ],
)
def test_invalid_toml_is_refused_with_the_line(tmp_path, text, place):
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    refused(rf"a\.toml is not valid TOML: .*{place}", read, tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nsteps = 1\n", r"^a:2: 'steps' stands outside a section; write it under one, like \[sampler\]"),
        ("\nsampler = 1\n", r"^a:2: 'sampler' stands outside a section"),
        ("[train]\nseed = 1\n[[sampler]]\n", r"^a:\d: 'sampler' stands outside a section"),
        ("watch = 1\n", r"^a:1: watch takes sections, like \[watch\.pictures\]"),
        ("[energy]\n[watch]\nevery = 1\n", r"^a:3: 'watch\.every' stands outside a section"),
    ],
)
def test_a_file_of_another_shape_is_refused_with_its_line(text, message):
    refused(message, loads, text, "a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nseed = 1\niteration = 2\n", r"^a:3: train has no setting 'iteration'\. Did you mean 'iterations'\?"),
        ("[sampler]\n\nsteps = 1.5\n", r"^a:3: sampler\.steps must be int, not 1\.5\."),
        ("[sampler.langevin]\nsteps = 1\n", r"^a:1: sampler has no setting 'langevin'"),
        ('[sampler]\nuse = "hcm"\n', r"^a:2: unknown sampler 'hcm'\. Did you mean 'hmc'\?"),
        ("[sampler]\nuse = 3\n", r"^a:2: sampler\.use must be the name of a component, not 3"),
        ("[watch.pictres]\nevery = 1\n", r"^a:2: unknown watcher 'pictres'\. Did you mean 'pictures'\?"),
        ('[optimizer]\nuse = "adm"\n', r"^a:2: unknown optimizer 'adm'\."),
    ],
)
def test_a_wrong_setting_in_a_file_is_refused_with_its_line(text, message):
    refused(message, resolve, [loads(text, "a")])


def test_typed_pairs_become_values_with_their_text():
    layer = typed(["sampler.steps=10", " data.path = 2024 ", "watch.a.b:c.every=1", "sampler.use=hmc", "data.key=a=b"])
    assert plain(layer) == {
        "sampler": {"steps": 10, "use": "hmc"},
        "data": {"path": 2024, "key": "a=b"},
        "watch.a.b:c": {"every": 1},
    }
    assert layer.sections["data"]["path"].text == "2024"
    assert layer.sections["data"]["path"].origin == "-s data.path"


@pytest.mark.parametrize("pair", ["", "steps=3", "sampler.steps", "sampler", "=3", "sampler.=3", "a\nb"])
def test_a_typed_pair_of_another_form_is_refused(pair):
    refused(r"^-s takes section\.key=value, like -s sampler\.step_size=0\.1, not '", typed, [pair])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([".steps=1"], r"^-s takes section\.key=value"),
        (["watch.every=1"], r"settings of a watcher are written watch\.NAME\.key"),
        (["sampler.steps.k=1"], r"settings are written section\.key, like sampler\.steps"),
        (["train.seed=1", "train.seed = 1"], r"^train\.seed is given twice on the command line"),
    ],
)
def test_a_typed_pair_without_a_section_is_refused(pairs, message):
    refused(message, typed, pairs)


def test_every_preset_resolves_with_its_required_settings():
    assert list(presets()) == sorted(presets())
    for name in presets():
        recipe = resolve([preset(name)], "preset")
        assert recipe.notes == ()
        assert f"preset {name}:" in recipe.toml(with_origins=True)


def test_an_unknown_preset_is_refused_with_the_nearest():
    refused(r"^unknown preset 'imags'\. Did you mean 'images'\? Installed: anatomy-cifar10", preset, "imags")
