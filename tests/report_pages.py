"""Reports of a small model, and their HTML taken apart."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import torch
from PIL import Image
from torch import Generator

from ebmkit.data.examples import Examples
from ebmkit.energies.mlp import MLP
from ebmkit.inits.uniform import Uniform
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.report.context import ReportContext
from ebmkit.report.page import write_page
from ebmkit.samplers.langevin import Langevin
from ebmkit.shortrun import ShortRun

SHAPE = (1, 8, 8)
STEPS = 8
SMALL = {"count": 8, "chains": 3, "updates": 3, "batch": 4}
VOID = {"meta", "img", "br", "link"}


def rng(seed=0):
    return Generator().manual_seed(seed)


def model(shape=SHAPE, init=None):
    torch.manual_seed(0)
    return ShortRun(MLP(shape, width=4, depth=1), Langevin(steps=STEPS), init or Uniform(shape))


def examples(shape=SHAPE, seed=9):
    return Examples(torch.rand(50, *shape, generator=rng(seed)) * 2 - 1)


def trainer():
    short = model()
    optimizer = torch.optim.Adam(short.energy.parameters(), lr=0.01)
    return Trainer(short.energy, short.sampler, short.init, optimizer, rng(), average=0.5)


class Page(HTMLParser):
    """The HTML of a page, parsed; tags must be closed in order."""

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
    def omitted(self):
        return {title: " ".join(text.split()) for title, text in self.sections.items() if "Omitted" in text}

    def pictures(self, title):
        """The pictures of a section, with their alternative texts."""
        html = next(part for part in self.text.split("<section") if f">{title}</h2>" in part)
        found = re.findall(r'<img src="data:image/png;base64,([^"]+)"[^>]* alt="([^"]*)"', html)
        return [(alt, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))) for data, alt in found]


def prepared(folder, lines=30):
    """The folder of a run, with metrics, a configuration and an environment."""
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


def context(folder):
    return ReportContext(model(), examples(), None, folder, torch.device("cpu"))
