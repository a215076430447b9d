"""The table and the figure of a study."""

import csv
import errno
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from studies import finished, small, without_times

from ebmkit.errors import UsageError
from ebmkit.files import Unwritten
from ebmkit.study.figure import logarithmic, positions, x_axis
from ebmkit.study.measures import KINDS, kind_of
from ebmkit.study.results import Result
from ebmkit.study.rows import Score, Spread, rows_of
from ebmkit.study.tables import csv_text, markdown, notes, number_text, spread_text

pytestmark = pytest.mark.usefixtures("built_in_parts_only")


def measure(name, value, noise=0.5, real=0.9, note=""):
    return {"name": name, "value": value, "noise_against_real": noise, "real_against_real": real, "note": note}


def result(cell, precision, **changes):
    measures = (measure("Precision (features=pixels)", precision), measure("Fréchet distance (features=pixels)", None))
    return Result(cell, "done", 3, 12, 2.0, 1.0, measures, **changes)


@pytest.fixture
def study(tmp_path):
    """A study with two settings and three seeds, which has not begun."""
    return small(tmp_path / "a", seeds=3)


def rows(study, values):
    return rows_of(study.plan, list(zip(study.cells, values, strict=True)))


def test_a_row_has_mean_and_deviation_over_seeds(study):
    found = rows(study, [result("", value) for value in (1.0, 0.0, 2.0, 0.0, 6.0, 0.3)])
    assert [row.settings["sampler.steps"] for row in found] == [2, 3]
    assert found[0].scores["precision"] == Score(Spread(3.0, pytest.approx(7**0.5)), 0.5, 0.9)
    assert (found[0].seeds, found[0].done, found[0].updates, found[0].passes) == (3, 3, (3, 3, 3), 12)
    assert found[0].seconds == (2.0, 0.0)


def test_one_seed_has_no_deviation(study):
    found = rows(study, [result("", 1.0), *[None] * 5])
    assert found[0].scores["precision"].model == Spread(1.0, None)
    assert (found[0].done, found[1].done, found[1].scores) == (1, 0, {})


def test_a_measure_without_a_value_is_left_out_with_its_reason(study):
    none = {"measures": (measure("Fréchet distance", None, note="n=30 is too few"),)}
    found = rows(study, [replace(result("", 1.0), **none), *[None] * 5])
    assert found[0].scores == {}
    assert "Fréchet distance: n=30 is too few" in notes(study.plan, found)


def test_diverged_and_failed_runs_are_counted(study):
    diverged = Result("", "diverged", 2, 8, 1.0, error="diverged")
    failed = Result("", "failed", 0, 0, 0.0, error="no memory")
    found = rows(study, [diverged, failed, result("", 0.5), failed, diverged, failed])
    assert (found[0].done, found[0].diverged, found[0].failed) == (1, (2, 2), 0)
    text = markdown(study.plan, found)
    assert "| 2 | - | 0.500 (noise 0.500, real 0.900) | - | - | 1 of 3; 2 diverged at update 2, 2 | 2 to 3 |" in text
    assert "| 3 | - | - | - | - | 0 of 3; 3 failed | - | - | - |" in text


def test_runs_that_have_not_ended_are_said(study):
    assert "- 5 of 6 runs have not ended" in markdown(study.plan, rows(study, [result("", 0.5), *[None] * 5]))
    assert "not ended" not in markdown(study.plan, rows(study, [result("", 0.5)] * 6))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Spread(0.5117, 0.0213), "0.512 ± 0.021"),
        (Spread(132.4, 15.51), "132 ± 16"),
        (Spread(0.00002, 0.05), "0.0000 ± 0.0500"),
        (Spread(12345.6, None), "12,346"),
        (Spread(0.0, 0.0), "0 ± 0"),
        (Spread(-0.000102, None), "-0.0001"),
        (None, "-"),
    ],
)
def test_a_mean_is_shown_to_the_digits_of_its_spread(value, text):
    assert spread_text(value) == text


def test_a_value_is_shown_in_three_digits():
    assert [number_text(value) for value in (0.98333, 15.3, 728.1, None)] == ["0.983", "15.3", "728", "-"]


def test_the_csv_has_every_measure_in_full(study):
    found = rows(study, [result("", value) for value in (1 / 3, 0.0, 1 / 3, 0.0, 1 / 3, 0.3)])
    first, second = csv.DictReader(csv_text(study.plan, found).splitlines())
    assert first["sampler.steps"] == "2"
    assert (first["precision_mean"], first["precision_deviation"]) == (repr(1 / 3), "0.0")
    assert (first["precision_noise"], first["precision_real"], first["frechet_mean"]) == ("0.5", "0.9", "")
    assert list(first)[-3:] == ["seconds_mean", "seconds_deviation", "evaluation_seconds_mean"]
    assert {f"{name.replace('-', '_')}_mean" for name in KINDS} <= set(second)


def test_every_measure_of_an_evaluation_has_a_short_name(tmp_path):
    study, _ = finished(tmp_path / "a", seeds=1)
    names = [one["name"] for one in study.result(study.cells[0]).measures]
    assert sorted(map(kind_of, names)) == sorted(set(KINDS) - {"score"})
    assert [kind_of(name) for name in ("FID", "KID", "Inception score", "Classifier score (features=digits)")] == [
        *("frechet", "kernel", "score", "score")
    ]


def test_the_files_of_a_study_are_written(tmp_path):
    study, _ = finished(tmp_path / "a", vary={"sampler.steps": [2, 3], "optimizer.lr": [0.01, 0.1]}, seeds=1)
    study.write_tables()
    markdown, table = without_times(study)
    assert markdown[0][:3] == ["| steps", "lr", "Fréchet distance"]
    assert [row[:2] for row in markdown[2:6]] == [["| 2", "0.01"], ["| 2", "0.1"], ["| 3", "0.01"], ["| 3", "0.1"]]
    assert len(table) == 5
    picture = np.asarray(Image.open(study.folder / "figure.png").convert("RGB"))
    colours = {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours


def test_a_study_that_has_not_begun_has_no_table(study):
    with pytest.raises(UsageError, match=r"has no study.toml: the study has not begun"):
        study.write_tables()


def test_a_study_without_results_has_an_empty_table_and_figure(study):
    study.save()
    study.write_tables()
    assert (study.folder / "figure.png").stat().st_size > 0
    assert "6 of 6 runs have not ended" in (study.folder / "table.md").read_text()


def test_a_figure_that_cannot_be_written_is_named(study, monkeypatch):
    def full(*given, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    study.save()
    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(Unwritten, match=r"cannot write .*figure\.png: No space left on device"):
        study.write_tables()


def test_a_figure_is_drawn_over_the_longest_axis_of_numbers():
    words, short, long = (
        {"energy.use": ("a", "b", "c", "d")},
        {"x.y": (1, 2)},
        {"x.z": (1, 2, 3), "x.w": ("a", "b", "c")},
    )
    assert x_axis([words, short, long]) is long
    assert x_axis([words]) is words
    assert x_axis([]) == {}
    assert positions(long) == {("1", "a"): 1.0, ("2", "b"): 2.0, ("3", "c"): 3.0}
    assert positions(words) == {("a",): 0.0, ("b",): 1.0, ("c",): 2.0, ("d",): 3.0}
    assert positions({}) == {(): 0.0}


def test_a_wide_range_of_values_is_drawn_logarithmically():
    assert logarithmic({"x.y": (1e-4, 1e-3)})
    assert not logarithmic({"x.y": (5, 10, 25)})
    assert not logarithmic({"x.y": (0, 10)})
    assert not logarithmic({"x.y": ("1", "100")})
    assert not logarithmic({})


def test_lists_as_values_make_a_table_and_a_figure(tmp_path):
    study = small(tmp_path / "a", {"optimizer.betas": [[0.0, 0.99], [0.9, 0.999]]})
    study.save()
    study.write_tables()
    assert "| [0.0, 0.99] |" in (study.folder / "table.md").read_text()
