"""The page of results: what the paper reports beside what was measured, written from folders of studies and figures."""

import json
import re
import sys
from pathlib import Path

import pytest
from commands import invoked
from studies import finished

from ebmkit.config.layers import Layer, preset, typed
from ebmkit.config.resolution import resolve
from ebmkit.files import write_text
from ebmkit.study import Study, read_study

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "examples" / "paper"
sys.path.insert(0, str(PAPER))
results_page = pytest.importorskip("results_page", reason="examples/ is not beside the tests")
make_results = pytest.importorskip("make_results", reason="examples/ is not beside the tests")

pytestmark = pytest.mark.usefixtures("empty_folder")

BESIDE = {"at": ["K = 2", "K = 3"], "mark": "recalled", "precision": ["IS", 2.06, 2.27]}
STUDIED = {
    "title": "Table 9: a table",
    "paper": "on other data",
    "study": "small",
    "small_not_run": "a minute",
    "data": "points in the plane, generated",
    "preset": "none",
    "command": "ebmkit study small",
    "not_run": "needs a GPU",
    "full": ["ebmkit study large"],
    "beside": BESIDE,
    "images": [{"file": "figure.png", "caption": "The measures over K"}],
}
DRAWN = {
    "title": "Figure 9: a figure",
    "paper": "a picture",
    "result": "drawn",
    "small_not_run": "a minute",
    "data": "points",
    "preset": "a run",
    "command": "python drawn.py",
    "images": [{"file": "a.png", "caption": "What is seen"}],
}
RESULT = {
    "run": "a",
    "updates": 1200,
    "seeds": 1,
    "hardware": "a CPU",
    "torch": "2",
    "cpu_seconds": 3.0,
    "values": {"b": 0.5},
}


def rows(values):
    return [{"frechet_mean": value} for value in values]


def sentence(values, reported, deviation=None):
    studied = [{**row, "frechet_deviation": deviation} for row in rows(values)]
    return results_page.agreement("frechet", studied, {"frechet": ["FID", *reported]})


def test_the_page_in_the_docs_is_what_the_command_writes():
    found = make_results.read_measured(PAPER / "measured")
    text = results_page.page(make_results.experiments(), found)
    assert (ROOT / "docs" / "results.md").read_text(encoding="utf-8") == text


def test_a_study_is_collected_and_written_with_the_papers_values_beside_its_own(tmp_path):
    study, _ = finished("small")
    write_text(tmp_path / "small" / "gradients.json", '{"steps=2,seed=0": 0.5, "steps=2,seed=1": 0.7}')
    make_results.collect(tmp_path, [STUDIED], tmp_path, tmp_path)
    text = results_page.page([STUDIED], make_results.read_measured(tmp_path))
    score = study.rows()[0].scores["precision"]
    own = f"{results_page.spread_text(score.model)} (noise {results_page.number_text(score.noise)}, real "
    assert "## Table 9: a table\n\nThe paper: on other data.\n" in text
    assert "| steps | the paper's row | Fréchet distance | Precision | paper's IS (recalled) |" in text
    (first, second) = re.findall(r"^\| \d \|.*$", text, re.MULTILINE)
    assert first.startswith("| 2 | K = 2 | ")
    assert own in first
    assert "| 2.06 |" in first
    assert "| 0.600 ± 0.141 | 2 of 2 |" in first
    assert second.startswith("| 3 | K = 3 | ")
    assert "| 2.27 |" in second
    assert "| - | 2 of 2 |" in second
    assert re.search(r"2 seeds; 3 updates; n = 30 samples, features pixels; \S+ CPU with \S+, 1 thread; torch \d", text)
    assert "![The measures over K](images/paper-small-figure.png)\n\n*The measures over K.*" in text
    assert (tmp_path / "paper-small-figure.png").stat().st_size > 1000
    assert "Precision against the paper's IS: fewer than three rows are done." in text
    assert "```console\n$ ebmkit study small\n```\n\nAt full scale: not run; needs a GPU.\n" in text


def test_where_files_are_is_no_result():
    values = {"use": "idx", "path": Path("/home/me/mnist"), "size": 16}
    assert make_results.without_paths(values) == {"use": "idx", "size": 16}


def test_a_figure_is_collected_with_its_numbers_and_its_picture(tmp_path):
    (tmp_path / "drawn").mkdir()
    write_text(tmp_path / "drawn" / "result.json", json.dumps(RESULT))
    write_text(tmp_path / "drawn" / "a.png", "a picture")
    make_results.collect(tmp_path, [DRAWN], tmp_path, tmp_path)
    text = results_page.page([DRAWN], make_results.read_measured(tmp_path))
    assert "Ours: points; preset: a run; 1 seed; 1,200 updates; a CPU; torch 2; 3 s of CPU" in text
    assert "| b | 0.5 |" in text
    assert "![What is seen](images/paper-drawn-a.png)\n\n*What is seen.*" in text
    assert (tmp_path / "paper-drawn-a.png").read_text(encoding="utf-8") == "a picture"


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("Linux-6.8.0-x86_64-with-glibc2.39", "x86_64 CPU with AVX2, 2 threads"),
        ("macOS-15.1-arm64-arm-64bit", "arm64 CPU with AVX2, 2 threads"),
    ],
)
def test_the_machine_of_a_run_is_named_without_its_kernel(platform, expected):
    machine = {"device": "cpu", "platform": platform, "cpu_capability": "AVX2", "threads": 2}
    assert make_results.machine_of(machine) == expected
    assert make_results.machine_of({**machine, "device": "NVIDIA H100"}) == "NVIDIA H100"


def test_what_was_not_run_says_so():
    text = results_page.page([STUDIED, DRAWN], {})
    assert text.count("Small form: not run; a minute.") == 2
    assert "At full scale: not run; needs a GPU." in text


def test_a_row_that_is_not_done_says_so():
    assert results_page.measure_text({"frechet_mean": None}, "frechet") == "not run"


def test_the_same_order_agrees_and_the_opposite_one_does_not():
    reported = [213.08, 182.5, 92.13, 68.28, 65.37, 63.81]
    assert "rank correlation 1.00 over 6 rows, p = 0.0014: **the order agrees**" in sentence(
        [9, 8, 7, 6, 5, 4], reported
    )
    assert "correlation -1.00 over 6 rows, p = 1: **the order is the opposite**" in sentence(
        [4, 5, 6, 7, 8, 9], reported
    )
    assert "**undecided**" in sentence([4, 9, 5, 8, 6, 7], reported)


def test_three_rows_are_too_few_to_decide_and_two_are_not_compared():
    assert "correlation 1.00 over 3 rows, p = 0.17: **undecided**" in sentence([3, 2, 1], [63.81, 46.61, 44.5])
    assert sentence([3, 2, None], [63.81, 46.61, 44.5]).endswith("fewer than three rows are done.")


@pytest.mark.parametrize(("deviation", "decided"), [(4.9, True), (5.1, False)])
def test_rows_that_differ_less_than_seeds_do_decide_nothing(deviation, decided):
    said = sentence([9, 8, 7, 6, 5, 4], [213.08, 182.5, 92.13, 68.28, 65.37, 63.81], deviation)
    assert ("the order agrees" in said) == decided
    assert ("**our rows differ less than seeds do (5.00 against 5.10): undecided**" in said) != decided


def test_values_that_do_not_vary_are_undecided():
    assert "correlation 0.00 over 4 rows, p = 1: **undecided**" in sentence([1, 1, 1, 1], [4, 3, 2, 1])


@pytest.mark.parametrize(("name", "cells"), [("k", 18), ("noise", 18), ("width", 9)])
def test_the_studies_of_fashion_can_begin(name, cells):
    words = ("-s", "data.path=a", "-s", "features.path=b.pt", "--list")
    stdout, _ = invoked("study", "a", "--config", PAPER / f"{name}-fashion.toml", *words)
    assert len(stdout.splitlines()) == cells


@pytest.mark.parametrize(("name", "cells"), [("k", 18), ("noise", 18), ("width", 9)])
def test_the_studies_of_the_paper_can_begin(name, cells):
    stdout, _ = invoked("study", "a", "--config", PAPER / f"{name}-digits.toml", "--list")
    assert len(stdout.splitlines()) == cells
    words = ("--preset", "nijkamp2019-cifar10-nf32", "--config", PAPER / f"{name}-cifar10.toml")
    stdout, _ = invoked("study", "b", *words, "-s", "data.path=a.npz", "-s", "features.weights=a.pth", "--list")
    assert len(stdout.splitlines()) == cells


def test_the_cells_of_table_2_are_the_presets_of_k():
    asked = read_study(PAPER / "k-cifar10.toml")
    asked["features"] = {**asked["features"], "weights": "a.pth"}
    path = typed(["data.path=a.npz"])
    below: list[Layer] = [preset("nijkamp2019-cifar10-nf32"), asked.pop("settings"), path]
    cells = {cell.varied["sampler.steps"]: cell for cell in Study("a", below, **asked).cells if cell.seed == 0}
    threads = typed(["train.threads=1"])
    for k in (5, 10, 25, 50, 75):
        assert cells[k].recipe.sections == resolve([preset(f"nijkamp2019-cifar10-k{k}"), path, threads]).sections
    assert cells[100].recipe.sections == resolve([preset("nijkamp2019-cifar10-nf32"), path, threads]).sections
