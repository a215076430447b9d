"""Files of runs, studies and models that are damaged or were made by others: one line, whatever is in them."""

import json
import struct
import warnings
import zlib
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ebmkit.claims import claim
from ebmkit.cli.console import notices
from ebmkit.config.layers import loads, typed
from ebmkit.config.resolution import resolve
from ebmkit.data import Examples, folder
from ebmkit.errors import Notice, UsageError
from ebmkit.evaluation.training_curves import read_events, read_metrics
from ebmkit.files import json_of
from ebmkit.report.value_sections import provenance
from ebmkit.runs.checkpoint import FORMAT, KINDS, read_checkpoint
from ebmkit.runs.evaluations import scores_in
from ebmkit.runs.events import has_diverged, rewrite_metrics
from ebmkit.runs.folder import rewrite_folder
from ebmkit.runs.model_file import read_model_file
from ebmkit.study import Study
from ebmkit.study.cost import Cost
from ebmkit.study.results import Result, read_result, result_path, write_result

DEEP = "[" * 100_000  # json.loads raises a RecursionError for it, which is no ValueError
SETTINGS = {"sampler": {"steps": 2}, "data": {"use": "moons", "count": 20}, "energy": {"use": "mlp", "width": 4}}


def test_a_message_is_one_line_of_bounded_length():
    assert str(UsageError("a\nb\r\nc\u2028d")) == "a b c d"
    long = str(UsageError(f"key must be int, not {'x' * 9999}: write a smaller one"))
    assert len(long) < 1000
    assert long.startswith("key must be int, not xxx")
    assert long.endswith("xxx: write a smaller one")
    assert str(UsageError()) == ""


def test_json_nested_by_the_thousand_is_a_value_error():
    with pytest.raises(ValueError, match="nested too deeply"):
        json_of(DEEP)
    assert json_of('{"a": [1]}') == {"a": [1]}


def test_metrics_of_nested_json_are_damaged_lines(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(f'{DEEP}\n{{"update": 1}}\n', encoding="utf-8")
    assert read_events(tmp_path) == []
    with pytest.warns(UserWarning, match="lines that were cut off or damaged are skipped: 1$"):
        assert read_metrics(tmp_path)["update"].tolist() == [1]
    rewrite_metrics(tmp_path, 3, [])
    assert (tmp_path / "metrics.jsonl").read_text(encoding="utf-8") == '{"update": 1}\n'
    (tmp_path / "metrics.jsonl").write_text(DEEP, encoding="utf-8")
    assert not has_diverged(tmp_path)


def test_numbers_that_no_float_holds_are_damaged_lines(tmp_path):
    damaged = f'{{"update": 1, "gap": 1{"0" * 400}}}'
    (tmp_path / "metrics.jsonl").write_text(f'{damaged}\n{{"update": 2}}\n', encoding="utf-8")
    with pytest.warns(UserWarning, match="lines that were cut off or damaged are skipped: 1$"):
        assert read_metrics(tmp_path)["update"].tolist() == [2]
    lines = '{"update": 1, "passes": 2, "seconds": 3}\n{"update": 2, "passes": Infinity, "seconds": 4}\n'
    (tmp_path / "cost.jsonl").write_text(lines, encoding="utf-8")
    assert Cost.restored(SimpleNamespace(path=tmp_path / "cost.jsonl"), 9) == (2, 3.0)


def test_env_json_and_evaluation_json_of_nested_json_are_refused(tmp_path):
    for name in ("env.json", "evaluation.json"):
        (tmp_path / name).write_text(DEEP, encoding="utf-8")
    with pytest.raises(UsageError, match=r"env\.json has no versions"):
        provenance(SimpleNamespace(folder=tmp_path))
    with pytest.raises(UsageError, match="write it again with: ebmkit evaluate"):
        scores_in(tmp_path)
    rewrite_folder(tmp_path, resolve([loads("", "none")]), 1, torch.device("cpu"))
    assert json.loads((tmp_path / "env.json").read_text(encoding="utf-8"))["resumed"][0]["from_update"] == 1


def test_files_of_a_study_of_nested_json_are_no_claims_no_costs_and_no_results(tmp_path):
    (tmp_path / "claim").write_text(DEEP[:400], encoding="utf-8")
    with claim(tmp_path / "claim") as owner:
        assert owner == ""
    (tmp_path / "cost.jsonl").write_text(f'{{"update": 1, "passes": 2, "seconds": 3}}\n{DEEP}\n', encoding="utf-8")
    assert Cost.restored(SimpleNamespace(path=tmp_path / "cost.jsonl"), 9) == (2, 3.0)
    result_path(tmp_path, "a").parent.mkdir()
    result_path(tmp_path, "a").write_text(DEEP, encoding="utf-8")
    with pytest.raises(UsageError, match="remove it, and the cell is evaluated again"):
        read_result(tmp_path, "a")


MEASURE = {"name": "FID", "value": 1.0, "real_against_real": 0.1, "noise_against_real": 9.0, "n": 5, "note": ""}
WRONG = [
    {"updates": []},
    {"updates": None},
    {"passes": {"a": 1}},
    {"seconds": "3"},
    {"seconds": float("nan")},
    {"seconds": 10**400},
    {"status": "lost"},
    {"error": 3},
    {"measures": [3]},
    {"measures": [{**MEASURE, "name": []}]},
    {"measures": [{**MEASURE, "value": float("inf")}]},
    {"measures": [{"name": "FID", "value": 1.0, "note": ""}]},
]


@pytest.mark.parametrize("fields", WRONG, ids=str)
def test_a_result_with_fields_of_other_types_is_refused(tmp_path, fields):
    good = Result("a", "done", 3, 9, 1.5, measures=({**MEASURE, "value": None},))
    write_result(tmp_path, good)
    assert read_result(tmp_path, "a") == good
    result_path(tmp_path, "a").write_text(json.dumps({**asdict(good), **fields}), encoding="utf-8")
    with pytest.raises(UsageError, match="remove it, and the cell is evaluated again"):
        read_result(tmp_path, "a")


@pytest.mark.parametrize("use", [3, True, ["pixels"], float("nan")], ids=str)
def test_features_of_a_study_are_chosen_by_a_name(tmp_path, use):
    with pytest.raises(UsageError, match=r"features.use must be the name of a component, not"):
        Study(tmp_path, SETTINGS, features={"use": use})


@pytest.mark.parametrize("name", [3, True, [], {}], ids=str)
def test_measures_of_a_study_are_names(tmp_path, name):
    with pytest.raises(UsageError, match="unknown measure"):
        Study(tmp_path, SETTINGS, measures=[name])


@pytest.mark.parametrize("path", ["samplr.steps", "sampler.more.steps", ".steps", "watch.every"])
def test_an_axis_in_an_unknown_section_is_refused(tmp_path, path):
    with pytest.raises(UsageError, match=f"^{path}: "):
        Study(tmp_path, SETTINGS, vary={path: [2, 3]})


def test_a_study_of_too_many_cells_is_refused_before_they_are_counted_out(tmp_path):
    many = [{f"train.{key}": list(range(1, 101))} for key in ("iterations", "batch_size", "seed_of", "threads")]
    for asked in ({"vary": many}, {"vary": {"sampler.steps": [2, 3]}, "seeds": 10**30}):
        with pytest.raises(UsageError, match="the study has more than 10,000 cells"):
            Study(tmp_path, SETTINGS, **asked)


def test_a_checkpoint_with_values_of_other_types_is_refused(tmp_path):
    good = {name: kind() for name, kind in KINDS.items()}
    good |= {"format": FORMAT, "shape": [2], "trainer": {"index": 1, "energy": {}, "average": {}, "init": {}}}
    wrong = {
        "format": [torch.ones(3), torch.ones(2, 2).to_sparse(), torch.zeros(1, 1).expand(10**6, 10**6), "2", True],
        "shape": [[torch.tensor(2)], [[2]], ["2"], [-1], [2.0], [True]],
        "events": [[3], [{}], [{"update": 1, "to_update": 0, "lr": "x", "gradient_penalty": 1.0}]],
    }
    torch.save(good, tmp_path / "checkpoint.pt")
    assert read_checkpoint(tmp_path).shape == (2,)
    for field, values in wrong.items():
        for value in values:
            torch.save({**good, field: value}, tmp_path / "checkpoint.pt")
            with pytest.raises(UsageError, match=f"expected format 2, found|no usable {field}$"):
                read_checkpoint(tmp_path)


def test_a_model_file_without_its_settings_is_refused(tmp_path):
    facts = {"format": "1", "config": "", "shape": "[2]", "weights": "last", "updates": "1"}
    for missing in ("config", "shape", "weights", "updates"):
        left = {name: text for name, text in facts.items() if name != missing}
        save_file({"energy.a": torch.ones(2)}, tmp_path / "a.safetensors", left)
        with pytest.raises(UsageError, match=f"is damaged: KeyError: '{missing}'"):
            read_model_file(tmp_path / "a.safetensors")


def test_numbers_and_tables_that_no_message_can_show_are_refused():
    deep = f"[sampler]\nsteps{'.a' * 5000} = 1"
    for text in (f"[sampler]\nsteps = 0x{'f' * 5000}", deep):
        with pytest.raises(UsageError, match="is not valid TOML"):
            resolve([loads(text, "a.toml")])
    with pytest.raises(UsageError, match="steps must be int, not '0xfff"):
        resolve([typed([f"sampler.steps=0x{'f' * 5000}"])])


def test_a_warning_of_another_library_is_one_line(capsys):
    with notices():
        warnings.warn("Corrupt\nEXIF data", UserWarning, stacklevel=1)
        warnings.warn("a notice", Notice, stacklevel=1)
    assert capsys.readouterr().err == "warning: UserWarning: Corrupt EXIF data\nwarning: a notice\n"


@pytest.mark.filterwarnings("error")
def test_vectors_that_float32_cannot_hold_are_refused_without_a_warning():
    with pytest.raises(UsageError, match="example 0 contains NaN or infinity"):
        Examples(np.full((2, 3), 1e300))


def png(width, height):
    """A PNG that claims to be of this size, with few pixels in it."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")


def test_an_image_that_claims_many_pixels_in_few_bytes_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(9000, 9000))
    with pytest.raises(UsageError, match=r"it claims 9000x9000 pixels in [0-9,]+ bytes; repair or remove it"):
        folder(path=tmp_path)
    Image.new("RGB", (3000, 2500)).save(tmp_path / "a.png")  # one colour, as dense as PNG can be
    assert folder(path=tmp_path, size=8, fit="resize")[0].shape == (3, 8, 8)
