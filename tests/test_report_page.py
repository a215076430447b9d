"""The page of a report: self-contained, complete, and written without changing anything."""

import json
import random
import re
import sys

import matplotlib
import pytest
import torch
from report_pages import SHAPE, SMALL, examples, model, page, prepared, rng

from ebmkit.errors import UsageError
from ebmkit.inits.replay import ReplayBuffer
from ebmkit.report import figures
from ebmkit.report.page import SECTIONS, write_page
from ebmkit.shortrun import ShortRun


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return page(prepared(tmp_path_factory.mktemp("runs") / "a"), scores={"fid": 12.345678, "judged": "good"})


@pytest.fixture
def no_plots(monkeypatch):
    """No plots, which take most of the time of a page."""
    monkeypatch.setattr(figures, "plot", lambda draw, **texts: "<svg></svg>")


def test_a_page_has_every_section_under_one_title(whole):
    assert list(whole.sections) == [section.title for section in SECTIONS]
    assert whole.omitted == {}
    assert len(whole.all("h1")) == 1
    assert "Report of a" in whole.text
    named = [attributes["id"] for _, attributes in whole.tags if "id" in attributes]
    assert {link["href"].removeprefix("#") for link in whole.all("a")} <= set(named)
    assert len(whole.all("a")) == len(SECTIONS)


def test_a_page_loads_nothing_from_elsewhere(whole):
    assert not {"script", "link", "iframe", "object", "embed", "form"} & {tag for tag, _ in whole.tags}
    for _, attributes in whole.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert not re.findall(r"url\((?!#)|@import", whole.text)
    policy = [meta["content"] for meta in whole.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    rules = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert policy == [rules]


def test_pictures_and_plots_have_alternative_texts(whole):
    pictures, plots = whole.all("img"), whole.all("svg")
    assert len(pictures) > 15
    assert len(plots) >= 10
    assert all(picture["alt"] for picture in pictures)
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


def test_the_page_adapts_to_dark_and_narrow_screens(whole):
    assert "currentColor" in whole.text
    assert figures.INK not in whole.text
    assert "prefers-color-scheme: dark" in whole.text
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in whole.all("meta")


def test_ids_in_plots_do_not_collide(whole):
    """Equal ids must belong to equal elements, or a plot would use the markers and clip paths of another."""
    found = {}
    for name, body in re.findall(r'<(?:path|clipPath) id="([^"]+)"([^§]*?)</?(?:path|clipPath|defs)', whole.text):
        assert found.setdefault(name, body) == body
    assert found
    assert '<g id="' not in whole.text


@pytest.mark.usefixtures("no_plots")
def test_text_from_files_is_escaped(tmp_path):
    text = '</pre><script>alert("&")</script>$title'
    place = prepared(tmp_path / "<b>run&")
    (place / "config.toml").write_text(text)
    (place / "env.json").write_text(json.dumps({"versions": {text: text}, "command": [text]}))
    found = page(place, scores={text: text}, full=False)
    assert "<script" not in found.text
    assert not found.all("script")
    assert found.sections["Configuration"].strip() == text
    assert found.sections["Measures"].count(text) == 2
    assert found.sections["Provenance"].count(text) == 2
    assert "Report of &lt;b&gt;run&amp;" in found.text


@pytest.mark.usefixtures("no_plots")
def test_a_short_report_runs_nothing_slow(tmp_path, monkeypatch):
    for name in ("reconstruct", "interpolate", "long_run"):
        monkeypatch.setattr(ShortRun, name, lambda *given, **settings: pytest.fail("this is slow"))
    left = page(prepared(tmp_path / "a"), full=False, scores={"x": 1}).omitted
    assert set(left) == {section.title for section in SECTIONS if not section.fast}
    assert all("while the run is in progress" in reason for reason in left.values())


def test_a_report_changes_nothing_and_is_reproducible(tmp_path):
    short, place = model(init=ReplayBuffer(SHAPE, size=20)), prepared(tmp_path / "a")
    short.init.sample(20, rng(2))
    short.init.remember(torch.rand(20, *SHAPE, generator=rng(1)))
    before = [short.init.state_dict(), short.energy.state_dict()]
    before = [{key: value.clone() for key, value in state.items()} for state in before]
    styles, state = matplotlib.rcParams.copy(), (torch.get_rng_state(), random.getstate())
    had_pyplot = "matplotlib.pyplot" in sys.modules  # by an earlier test in this process
    short.energy.train()
    first, second = (re.sub(r"\d+-\d+-\d+ \d+:\d+ UTC", "", page(place, short).text) for _ in range(2))
    assert first == second
    assert short.energy.training
    assert all(parameter.grad is None for parameter in short.energy.parameters())
    for old, new in zip(before, (short.init.state_dict(), short.energy.state_dict()), strict=True):
        assert all(torch.equal(old[key], new[key]) for key in new)
    assert torch.equal(state[0], torch.get_rng_state())
    assert state[1] == random.getstate()
    assert matplotlib.rcParams.copy() == styles
    assert ("matplotlib.pyplot" in sys.modules) == had_pyplot


@pytest.mark.usefixtures("no_plots")
def test_only_the_requested_file_is_written(tmp_path):
    place = prepared(tmp_path / "a")
    there = sorted(file.name for file in place.iterdir())
    assert write_page(model(), examples(), place, path=tmp_path / "b.html", full=False, **SMALL) == tmp_path / "b.html"
    assert sorted(file.name for file in place.iterdir()) == there
    assert write_page(model(), examples(), place, full=False, **SMALL) == place / "report.html"
    assert sorted(file.name for file in place.iterdir()) == sorted([*there, "report.html"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 1}, "count must be at least 2, not 1"),
        ({"chains": 0}, "chains must be at least 1 and at most 4, not 0"),
        ({"chains": 5}, "chains must be at least 1 and at most 4, not 5"),
        ({"count": 2}, "chains must be at most 2, not 3"),
        ({"updates": 0}, "updates must be at least 1, not 0"),
        ({"batch": 0}, "batch must be at least 1, not 0"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, given, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        page(tmp_path, **given)


@pytest.mark.usefixtures("no_plots")
def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"^cannot write .*absent/deep/r\.html: No such file or directory"):
        page(tmp_path, path=tmp_path / "absent" / "deep" / "r.html", full=False)
