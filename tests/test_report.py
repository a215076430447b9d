"""The report: one file for any browser, that shows what it says it shows and changes nothing."""

import base64
import io
import json
import math
import random
import re
import sys
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator

from ebmkit.watchers import write_metrics, write_report
from ebmkit.acceleration.accelerated import Accelerated
from ebmkit.evaluation.nearest import nearest_examples
from ebmkit.data.examples import Examples
from ebmkit.energies.mlp import MLP
from ebmkit.errors import UsageError
from ebmkit.inits.replay import Replay
from ebmkit.inits.uniform import Uniform
from ebmkit.pictures import grid
from ebmkit.report import figures, value_sections
from ebmkit.report.context import ReportContext, random_examples
from ebmkit.report.page import SECTIONS, write_page
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun
from ebmkit.testing.kit import Subject
from ebmkit.methods.maximum_likelihood import Trainer

SHAPE = (1, 8, 8)
STEPS = 8
SMALL = {"count": 8, "chains": 3, "updates": 3, "batch": 4}
VOID = {"meta", "img", "br", "link"}
CHECKS = {
    name: check
    for name, check in vars(__import__("ebmkit.testing.watchers", fromlist=["*"])).items()
    if name.startswith("watchers_")
}


def rng(seed=0):
    return Generator().manual_seed(seed)


def model(shape=SHAPE, init=None):
    torch.manual_seed(0)
    return ShortRun(MLP(shape, width=4, depth=1), Langevin(steps=STEPS), init or Uniform(shape))


def examples(shape=SHAPE, seed=9):
    return Examples(torch.rand(50, *shape, generator=rng(seed)) * 2 - 1)


class Page(HTMLParser):
    """A page taken apart; tags must close in order."""

    def __init__(self, text):
        super().__init__()
        self.text, self.tags, self.open = text, [], []
        self.sections, self.title = {}, None
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        self.title = None if tag == "h2" else self.title

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.title = data
            self.sections[data] = ""
        elif self.title:
            self.sections[self.title] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def left_out(self):
        return {title: " ".join(text.split()) for title, text in self.sections.items() if "Omitted" in text}

    def pictures(self, title):
        """The pictures of a section, with their alternative texts."""
        html = next(part for part in self.text.split("<section") if f">{title}</h2>" in part)
        found = re.findall(r'<img src="data:image/png;base64,([^"]+)"[^>]* alt="([^"]*)"', html)
        return [(alt, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))) for data, alt in found]


def prepared(folder, lines=30):
    """A run's folder with figures, a configuration and provenance."""
    folder.mkdir(exist_ok=True)
    names = ("gap", "loss", "real_energy", "fake_energy", "gradient_norm", "start_gradient", "end_gradient")
    values = torch.rand(lines, len(names) + 1, generator=rng()).tolist()
    rows = [{"update": n + 1, **dict(zip((*names, "displacement"), row, strict=True))} for n, row in enumerate(values)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "config.toml").write_text('[energy]\nuse = "mlp"\n')
    (folder / "env.json").write_text(json.dumps({"versions": {"torch": "9.8.7"}, "command": ["here"]}))
    return folder


def page(folder, short=None, data=None, **settings):
    path = write_page(short or model(), data or examples(), folder, **SMALL | settings)
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return page(prepared(tmp_path_factory.mktemp("runs") / "a"), scores={"fid": 12.345678, "judged": "good"})


@pytest.fixture
def no_plots(monkeypatch):
    """Plots take most of a page's time; not all tests look at them."""
    monkeypatch.setattr(figures, "plot", lambda draw, **texts: "<svg></svg>")


def test_a_page_has_every_section_under_one_title(whole):
    assert list(whole.sections) == [section.title for section in SECTIONS]
    assert whole.left_out == {}
    assert len(whole.all("h1")) == 1
    assert "Report of a" in whole.text
    named = [attributes["id"] for _, attributes in whole.tags if "id" in attributes]
    assert {link["href"].removeprefix("#") for link in whole.all("a")} <= set(named)
    assert len(whole.all("a")) == len(SECTIONS)


def test_a_page_needs_nothing_but_itself(whole):
    assert not {"script", "link", "iframe", "object", "embed", "form"} & {tag for tag, _ in whole.tags}
    for _, attributes in whole.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert not re.findall(r"url\((?!#)|@import", whole.text)
    policy = [meta["content"] for meta in whole.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_every_picture_and_plot_has_an_alternative_text(whole):
    pictures, plots = whole.all("img"), whole.all("svg")
    assert len(pictures) > 15
    assert len(plots) >= 10
    assert all(picture["alt"] for picture in pictures)
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)


def test_plots_take_the_colour_of_the_page_and_narrow_pages_are_allowed_for(whole):
    assert "currentColor" in whole.text
    assert figures.INK not in whole.text
    assert "prefers-color-scheme: dark" in whole.text
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in whole.all("meta")


def test_names_in_plots_do_not_collide(whole):
    """Equal names may only stand for equal things, or a plot would draw with another's markers and edges."""
    found = {}
    for name, body in re.findall(r'<(?:path|clipPath) id="([^"]+)"([^§]*?)</?(?:path|clipPath|defs)', whole.text):
        assert found.setdefault(name, body) == body
    assert found
    assert '<g id="' not in whole.text


def test_samples_stand_beside_real_examples(whole):
    (real_alt, real), (alt, fake) = whole.pictures("Samples beside real examples")
    short, rng_ = model(), rng()
    expected = torch.cat([short.sampler.sample(short.energy, short.init.sample(4, rng_), rng_) for _ in range(2)])
    assert np.array_equal(fake, np.asarray(grid(expected, 8)))
    assert np.array_equal(real, np.asarray(grid(random_examples(examples(), 8), 8)))
    assert "Real" in real_alt
    assert "Samples" in alt


def test_the_strip_goes_from_the_start_to_the_end_of_the_same_chains(whole):
    shown = whole.pictures("From noise to image")
    assert [alt.partition(":")[0] for alt, _ in shown] == ["k=0", "k=2", "k=4", "k=6", "k=8"]
    kept = model().trajectory(3, rng(), at=(0, 8))
    assert np.array_equal(shown[0][1], np.asarray(grid(kept[0], 1)))
    assert np.array_equal(shown[-1][1], np.asarray(grid(kept[8], 1)))


def test_the_nearest_examples_stand_beside_their_samples(whole):
    shown = whole.pictures("Nearest training examples")
    x = model().sample(8, rng(), batch=4)[:3]
    near = nearest_examples(x, examples(), count=4)
    expected = [x, *(examples().fetch(near.indices[:, n]) for n in range(4))]
    assert all(np.array_equal(a[1], np.asarray(grid(b, 1))) for a, b in zip(shown, expected, strict=True))
    own = nearest_examples(examples().fetch(torch.arange(50)), examples(), count=2).distance[:, 1]
    said = re.search(
        r"to the nearest example: ([\d.]+); .*nearest other one: ([\d.]+)\.", whole.sections["Nearest training examples"]
    )
    assert float(said[1]) == pytest.approx(float(near.distance[:, 0].median()), rel=0.01)
    assert own.min() - 0.01 < float(said[2]) < own.max() + 0.01


@pytest.mark.usefixtures("no_plots")
def test_reconstructions_are_of_held_out_examples_where_there_are_random_examples(tmp_path):
    other = examples(seed=3)
    found = page(prepared(tmp_path / "a"), held_out=other)
    assert np.array_equal(found.pictures("Reconstruction")[0][1], np.asarray(grid(random_examples(other, 3), 1)))
    assert "given held-out example" in found.sections["Reconstruction"]


def test_reconstructions_go_from_the_first_guess_to_the_last(whole):
    assert [alt.partition(":")[0] for alt, _ in whole.pictures("Reconstruction")] == ["given", "t=0", "t=3"]
    assert np.array_equal(whole.pictures("Reconstruction")[0][1], np.asarray(grid(random_examples(examples(), 3), 1)))
    found = model().reconstruct(random_examples(examples(), 3), rng(), updates=3)
    assert f"after 3 updates: {float(found.error[-1].mean()):.4g}, at first" in whole.sections["Reconstruction"]
    assert "given training example" in whole.sections["Reconstruction"]


def test_each_row_of_an_interpolation_goes_from_one_start_to_another(whole):
    short, rng_ = model(), rng()
    z1, z2 = short.init.sample(3, rng_), short.init.sample(3, rng_)
    ways = short.interpolate(z1, z2, 8)
    ((_, shown),) = whole.pictures("Interpolation")
    rows = torch.cat([ways[:, row] for row in range(3)])
    assert np.array_equal(shown, np.asarray(grid(rows, 8)))


def test_long_chains_are_shown_at_multiples_of_the_length(whole):
    assert [alt.partition(":")[0] for alt, _ in whole.pictures("Long chains")] == ["k=0", "k=8", "k=16", "k=40", "k=80"]
    assert "The model is the chain at K = 8; here it continues to 80" in whole.sections["Long chains"]
    assert "split R-hat" in whole.sections["Long chains"]


def test_measures_settings_and_versions_are_listed(whole):
    rows = re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td>', whole.text)
    assert rows == [("fid", "12.346"), ("judged", "good"), ("torch", "9.8.7")]
    assert 'use = "mlp"' in whole.sections["Configuration"]
    assert '"command"' in whole.sections["Provenance"]


@pytest.mark.usefixtures("no_plots")
def test_all_text_of_others_is_escaped(tmp_path):
    evil = '</pre><script>alert("&")</script>$title'
    place = prepared(tmp_path / "<b>run&")
    (place / "config.toml").write_text(evil)
    (place / "env.json").write_text(json.dumps({"versions": {evil: evil}, "command": [evil]}))
    found = page(place, scores={evil: evil}, full=False)
    assert "<script" not in found.text
    assert not found.all("script")
    assert found.sections["Configuration"].strip() == evil
    assert found.sections["Measures"].count(evil) == 2
    assert found.sections["Provenance"].count(evil) == 2
    assert "Report of &lt;b&gt;run&amp;" in found.text


@pytest.mark.usefixtures("no_plots")
def test_a_folder_without_figures_or_texts_leaves_these_sections_out_with_the_reason(tmp_path):
    reasons = page(tmp_path).left_out
    assert set(reasons) == {"Measures", "Training", "Configuration", "Provenance"}
    assert "metrics.jsonl: No such file" in reasons["Training"]
    assert reasons["Configuration"] == "Omitted. config.toml cannot be read: No such file or directory."
    assert "env.json" in reasons["Provenance"]
    assert "No evaluation measures were passed" in reasons["Measures"]


@pytest.mark.parametrize("text", ["[]", "{", "{}", '{"versions": 3}'])
@pytest.mark.usefixtures("no_plots")
def test_broken_provenance_is_left_out(tmp_path, text):
    place = prepared(tmp_path / "a")
    (place / "env.json").write_text(text)
    assert "env.json has no versions" in page(place, full=False).left_out["Provenance"]


@pytest.mark.usefixtures("no_plots")
def test_points_have_clouds_and_no_single_pictures(tmp_path):
    found = page(prepared(tmp_path / "a"), model((2,)), examples((2,)), batch=256, scores={"x": 1})
    assert set(found.left_out) == {"Nearest training examples", "Reconstruction", "Interpolation"}
    assert "are shown for images" in found.left_out["Interpolation"]
    (_, real), (alt, fake) = found.pictures("Samples beside real examples")
    assert real.shape == fake.shape == (288, 288, 3)
    assert "512 examples" in alt
    assert len(found.pictures("From noise to image")) == 5


@pytest.mark.usefixtures("no_plots")
def test_examples_that_cannot_be_drawn_still_have_figures(tmp_path):
    found = page(prepared(tmp_path / "a"), model((5,)), examples((5,)), scores={"x": 1})
    titles = "Samples beside real examples, From noise to image, Nearest training examples, Reconstruction, "
    assert set(found.left_out) == set((titles + "Interpolation, Long chains").split(", "))
    assert not found.all("img")
    assert len(found.all("svg")) > 5


@pytest.mark.usefixtures("no_plots")
def test_cheap_pages_do_not_run_what_takes_long(tmp_path, monkeypatch):
    for name in ("reconstruct", "interpolate", "long_run"):
        monkeypatch.setattr(ShortRun, name, lambda *given, **settings: pytest.fail("this takes long"))
    left = page(prepared(tmp_path / "a"), full=False, scores={"x": 1}).left_out
    assert set(left) == {section.title for section in SECTIONS if not section.fast}
    assert all("while the run is in progress" in reason for reason in left.values())


@pytest.mark.usefixtures("no_plots")
def test_an_energy_that_is_no_network_has_no_moments_to_match(tmp_path):
    short = ShortRun(lambda x: x.square().flatten(1).sum(1), Langevin(steps=3), Uniform(SHAPE))
    left = page(prepared(tmp_path / "a"), short, scores={"x": 1}).left_out
    assert set(left) == {"Moment matching"}
    assert "has no features" in left["Moment matching"]
    rounded = ShortRun(Accelerated(MLP(SHAPE, width=4), precision="bf16"), Langevin(steps=3), Uniform(SHAPE))
    assert not page(tmp_path / "a", rounded, scores={"x": 1}).left_out


@pytest.mark.filterwarnings("error")
def test_a_model_that_has_diverged_still_has_a_page(tmp_path):
    short = model()
    with torch.no_grad():
        short.energy.layers[0].weight.fill_(math.nan)
    place = prepared(tmp_path / "a")
    (place / "metrics.jsonl").write_text('{"update": 1, "gap": 1}\n{"update": 2, "gap": null, "real_energy": null}\n')
    left = page(place, short, scores={"x": 1}).left_out
    assert "has diverged" in left["Energies"]
    assert "Training" not in left


def test_a_report_changes_nothing_and_is_the_same_twice(tmp_path):
    short, place = model(init=Replay(SHAPE, size=20)), prepared(tmp_path / "a")
    short.init.sample(20, rng(2))
    short.init.remember(torch.rand(20, *SHAPE, generator=rng(1)))
    before = [short.init.state_dict(), short.energy.state_dict()]
    before = [{key: value.clone() for key, value in state.items()} for state in before]
    styles, state = matplotlib.rcParams.copy(), (torch.get_rng_state(), random.getstate())
    had_pyplot = "matplotlib.pyplot" in sys.modules  # by a test of this process that went before
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
def test_a_page_goes_where_it_is_asked_to_and_leaves_nothing_beside(tmp_path):
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
def test_a_file_that_cannot_be_written_is_refused_in_one_line(tmp_path):
    with pytest.raises(UsageError, match=r"^cannot write .*absent/deep/r\.html: No such file or directory"):
        page(tmp_path, path=tmp_path / "absent" / "deep" / "r.html", full=False)


def test_a_long_curve_is_thinned_to_means_within_a_band_and_a_short_one_is_not():
    step, values = torch.arange(1.0, 4001), torch.tensor([1.0, 3.0]).repeat(2000)
    at, middle, low, high = figures.thinned(step, values)
    assert len(at) == figures.POINTS
    assert at[0] == 10
    assert at[-1] == 4000
    assert (middle == 2).all()
    assert (low == 1).all()
    assert (high == 3).all()
    at, middle, low, high = figures.thinned(step[:7], values[:7])
    assert np.array_equal(at, step[:7])
    assert np.array_equal(low, middle)
    assert np.array_equal(high, middle)
    assert len(figures.curves(step, {"gap": values}, title="x")) < 100_000


def test_histograms_leave_out_what_is_not_finite():
    drawn = figures.histograms({"a": torch.tensor([1.0, 2, math.inf]), "b": torch.tensor([math.nan])}, title="x", x="E")
    assert "<svg" in drawn


def test_a_loss_that_is_the_gap_is_drawn_once(tmp_path):
    same = dict.fromkeys(("gap", "loss"), torch.arange(5.0))
    assert drawn_names(tmp_path, same) == set()
    assert drawn_names(tmp_path, same | {"loss": torch.arange(5.0) + 1}) == {"gap", "loss"}


def drawn_names(folder, past):
    """What the legend of the curves of a history names."""
    rows = [{"update": n, **{key: float(values[n]) for key, values in past.items()}} for n in range(5)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    html = value_sections.training(context(folder))
    return {name for name in ("gap", "loss") if f">{name}</text>" in html}


def context(folder):
    return ReportContext(model(), examples(), None, folder, torch.device("cpu"))


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.usefixtures("no_plots")
def test_the_watcher_conforms(check):
    check(Subject("watcher", write_report, {"every": 3, "count": 4, "chains": 2, "reconstruction_updates": 2}))


def trainer():
    short = model()
    optimizer = torch.optim.Adam(short.energy.parameters(), lr=0.01)
    return Trainer(short.energy, short.sampler, short.init, optimizer, rng(), average=0.5)


def watched(folder, training, iterations, **settings):
    """A run of some updates with its figures and its reports."""
    data = examples()
    updates = (training.update(data.fetch(torch.arange(6))) for _ in range(iterations))
    logged = write_metrics(updates, training, folder)
    settings = {"count": 4, "chains": 2, "reconstruction_updates": 1} | settings
    assert len(list(write_report(logged, training, folder, data, iterations, **settings))) == iterations
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"every": 2}, [(2, False), (4, False), (5, True)]),
        ({"every": 2, "full": "always"}, [(2, True), (4, True), (5, True)]),
        ({"every": 2, "full": "never"}, [(2, False), (4, False), (5, False)]),
        ({"every": 0}, []),
        ({"every": 5}, [(5, True)]),
        ({}, [(n, n == 5) for n in range(1, 6)]),
        ({"iterations": 30}, [(n, n == 30) for n in range(3, 31, 3)]),
    ],
)
def test_the_watcher_writes_at_each_nth_update_and_all_at_the_end(tmp_path, monkeypatch, settings, expected):
    written = []
    monkeypatch.setattr(
        "ebmkit.watchers.report.write_page",
        lambda *given, full, **_: written.append((training.index, full)),
    )
    watched(tmp_path, training := trainer(), **{"iterations": 5} | settings)
    assert written == expected


def test_the_watcher_shows_the_averaged_model_and_the_last_figures(tmp_path):
    training = trainer()
    watched(tmp_path, training, 4, every=4, full="never")
    found = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Training" not in found.left_out
    short = ShortRun(training.model, training.sampler, training.init)
    assert training.model is not training.energy
    shown = found.pictures("Samples beside real examples")[1][1]
    assert np.array_equal(shown, np.asarray(grid(short.sample(4, rng()), 8)))


def test_the_watcher_refuses_settings_at_once(tmp_path):
    for given in ({"every": -1}, {"count": 1}, {"chains": 0}, {"chains": 65}, {"reconstruction_updates": 0}):
        with pytest.raises(UsageError, match=next(iter(given))):
            write_report(iter(()), trainer(), tmp_path, examples(), 5, **given)
