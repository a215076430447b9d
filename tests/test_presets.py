"""Presets: each says what it is and where its values are from; listed, shown and copied on the command line."""

import json
import re

import pytest
from commands import invoked

import ebmkit
from ebmkit.config.layers import preset, presets, read
from ebmkit.config.preset_notes import LABELS, comments_of, head_of, summary_of

pytestmark = pytest.mark.usefixtures("built_in_parts_only", "empty_folder")

WIDE = {"COLUMNS": "220"}
MARKS = ("found", "recalled", "derived", "ours")
PAPER = "nijkamp2019-cifar10"
# What differs from the paper's main model, n_f = 128 and K = 100; the data noise of each K is that of table 2.
VARIANTS = {
    f"{PAPER}-nf64": {"energy.width": 64},
    f"{PAPER}-nf32": {"energy.width": 32},
    f"{PAPER}-k5": {"energy.width": 32, "sampler.steps": 5, "train.data_noise": 0.15},
    f"{PAPER}-k10": {"energy.width": 32, "sampler.steps": 10, "train.data_noise": 0.1},
    f"{PAPER}-k25": {"energy.width": 32, "sampler.steps": 25, "train.data_noise": 0.05},
    f"{PAPER}-k50": {"energy.width": 32, "sampler.steps": 50, "train.data_noise": 0.04},
    f"{PAPER}-k75": {"energy.width": 32, "sampler.steps": 75, "train.data_noise": 0.03},
}


def preset_text(name):
    return presets()[name].text()


def values_of(layer):
    return {f"{section}.{key}": one.value for section, values in layer.sections.items() for key, one in values.items()}


@pytest.mark.parametrize("name", presets())
def test_every_preset_says_what_it_is_what_is_exact_what_is_not_known_and_what_it_costs(name):
    head = head_of(preset_text(name))
    assert 10 < len(summary_of(presets()[name])) < 120
    assert [label for label in LABELS if re.search(rf"^{label}: .", head, re.MULTILINE)] == list(LABELS)


@pytest.mark.parametrize("name", [name for name in presets() if "Marks: " in head_of(preset_text(name))])
def test_every_value_of_a_publication_has_a_mark(name):
    for path, comment in comments_of(preset_text(name)).items():
        if not path.startswith("watch.") and path != "data.use":
            assert comment.partition(":")[0] in MARKS, (path, comment)


def test_the_presets_of_publications_have_marks():
    marked = {name for name in presets() if "Marks: " in head_of(preset_text(name))}
    assert set(presets()) - marked == {"images", "digits-quick", "mnist-quick", "fashion-quick"}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_of_the_papers_model_differs_in_the_settings_of_its_name(name):
    assert values_of(preset(name)) == values_of(preset(PAPER)) | VARIANTS[name]


def test_no_other_presets_claim_to_be_variants():
    assert {name for name in presets() if name.startswith(f"{PAPER}-")} == set(VARIANTS)


def test_list_presets_names_every_preset_with_its_first_line():
    stdout, _ = invoked("list", "presets", env=WIDE)
    own = f"ebmkit {ebmkit.__version__}"
    for name, one in presets().items():
        assert re.search(rf"^{name} +{re.escape(summary_of(one))} +{own} *$", stdout, re.MULTILINE)
    origin = {"package": "shortrun-ebmkit", "version": ebmkit.__version__}
    assert json.loads(invoked("list", "presets", "--json")[0]) == [
        {"schema": 2, "preset": name, "summary": summary_of(one), **origin} for name, one in presets().items()
    ]


@pytest.mark.parametrize("name", presets())
def test_show_prints_the_head_and_every_setting_with_its_mark(name):
    stdout, _ = invoked("show", "preset", name, env=WIDE)
    assert stdout.startswith(f"preset {name} · ebmkit {ebmkit.__version__}\n{head_of(preset_text(name))}\n\n")
    comments = comments_of(preset_text(name))
    assert set(comments) == set(values_of(preset(name)))
    for path, comment in comments.items():
        assert re.search(rf"^{re.escape(path)} +\S.*{re.escape(comment)}", stdout, re.MULTILINE)


def test_show_says_what_a_setting_is_for():
    stdout, _ = invoked("show", "preset", f"{PAPER}-k5", env=WIDE)
    assert re.search(r"sampler\.steps +5 +recalled: table 2 +How many steps one chain takes: the paper's K\.", stdout)


@pytest.mark.parametrize("name", presets())
def test_a_copy_is_a_configuration_with_the_same_values(name, tmp_path):
    stdout, stderr = invoked("copy", "preset", name, "mine.toml")
    assert stdout == "mine.toml\n"
    assert stderr == "to use it: ebmkit train --config mine.toml\n"
    copied = tmp_path / "mine.toml"
    assert copied.read_text(encoding="utf-8") == preset_text(name)
    assert values_of(read(copied)) == values_of(preset(name))


def test_a_copy_can_be_trained_with():
    invoked("copy", "preset", "digits-quick", "mine.toml")
    assert "batch_size = 64  # mine.toml:" in invoked("train", "--config", "mine.toml", "--print-config")[0]


def test_a_file_that_exists_is_not_overwritten(tmp_path):
    (tmp_path / "mine.toml").write_text("mine", encoding="utf-8")
    _, stderr = invoked("copy", "preset", "digits-quick", "mine.toml", code=2)
    assert stderr == "error: mine.toml exists; name a new file, or remove it first\n"
    assert (tmp_path / "mine.toml").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "preset", "digits-quik"], "unknown preset 'digits-quik'. Did you mean 'digits-quick'?"),
        (["copy", "preset", "digits-quik", "a.toml"], "unknown preset 'digits-quik'. Did you mean 'digits-quick'?"),
        (["copy", "sampler", "hmc", "a.toml"], "only presets are copied, not 'sampler': ebmkit copy preset NAME FILE"),
        (["list", "preset"], "unknown kind 'preset'. Did you mean 'presets'?"),
        (["show", "presets", "images"], "unknown kind 'presets'. Did you mean 'preset'?"),
    ],
)
def test_what_does_not_exist_is_refused_in_one_line(words, message, tmp_path):
    _, stderr = invoked(*words, code=2)
    assert stderr.startswith(f"error: {message}")
    assert stderr.count("\n") == 1
    assert not (tmp_path / "a.toml").exists()
