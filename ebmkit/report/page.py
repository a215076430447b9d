"""The page itself: one self-contained file, without scripts and without a server."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

import torch

import ebmkit
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, check
from ebmkit.files import write_text
from ebmkit.report import drawn, measured
from ebmkit.report.layout import paragraph
from ebmkit.report.subject import Subject
from ebmkit.shortrun import ShortRun


class Section(NamedTuple):
    """A heading, what makes the HTML below it, and whether that is cheap enough for the midst of a training."""

    title: str
    make: Callable[[Subject], str]
    cheap: bool


SECTIONS = (
    Section("Samples beside real examples", drawn.samples, cheap=True),
    Section("From noise to image", drawn.noise_to_image, cheap=True),
    Section("Measures", measured.measures, cheap=True),
    Section("Training", measured.training, cheap=True),
    Section("Energies", measured.energy, cheap=True),
    Section("Nearest training examples", drawn.nearest, cheap=False),
    Section("Moment matching", measured.moment_matching, cheap=False),
    Section("Reconstruction", drawn.reconstruction, cheap=False),
    Section("Interpolation", drawn.interpolation, cheap=False),
    Section("Long chains", drawn.long_chains, cheap=False),
    Section("Configuration", measured.configuration, cheap=True),
    Section("Provenance", measured.provenance, cheap=True),
)


def write(
    short: ShortRun,
    examples: Examples,
    folder: Path,
    *,
    path: Path | None = None,
    held_out: Examples | None = None,
    scores: Mapping[str, float | str] | None = None,
    device: torch.device | str = "cpu",
    full: bool = True,
    count: int = 64,
    chains: int = 8,
    updates: int = 200,
    batch: int = 64,
) -> Path:
    """Write the report of a run, at once: whoever reads it never sees half of it.

    It draws from the model by randomness of its own. A section that does not apply is left out with the reason.

    Args:
        short: The model.
        examples: What it was trained on.
        folder: The run's folder, for its figures, configuration and provenance.
        path: The file; by default `report.html` in the folder.
        held_out: What to reconstruct; by default the examples.
        scores: Measures to list by name.
        device: Where the model is.
        full: Also the sections that take long.
        count: How many samples to draw; points in the plane are 64 times as many.
        chains: How many chains a row or column shows.
        updates: How many updates reconstructions get.
        batch: How many chains run at once; a bank of starts must hold so many.

    Returns:
        Where it was written.

    Raises:
        UsageError: for a number out of range, or a file that cannot be written.
    """
    check("batch", batch, at_least=1)
    check("chains", chains, at_least=1, at_most=batch)
    check("count", count, at_least=2)
    check("chains", chains, at_most=count)
    check("updates", updates, at_least=1)
    subject = Subject(
        short, examples, held_out, folder, torch.device(device), scores or {}, count, chains, updates, batch
    )
    path = folder / "report.html" if path is None else path
    try:
        write_text(path, render(subject, full))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; expected a path like runs/a/report.html") from None
    return path


def render(subject: Subject, full: bool) -> str:
    """The page as text."""
    parts = [(f"section-{number}", section) for number, section in enumerate(SECTIONS, start=1)]
    contents = "\n".join(f'<li><a href="#{name}">{section.title}</a></li>' for name, section in parts)
    bodies = "\n".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{section.title}</h2>\n'
        f"{body(section, subject, full)}</section>"
        for name, section in parts
    )
    template = Template((files("ebmkit.report") / "page.html").read_text(encoding="utf-8"))
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return template.substitute(
        title=escape(f"Report of {subject.folder.absolute().name}"),
        subtitle=escape(f"{len(subject.examples):,} examples {subject.shape}; ebmkit {ebmkit.__version__}, {made}"),
        contents=contents,
        sections=bodies,
    )


def body(section: Section, subject: Subject, full: bool) -> str:
    """What stands below a heading: the section, or why it is left out."""
    if not full and not section.cheap:
        return paragraph("Left out while the run goes on, as it takes long.")
    try:
        return section.make(subject)
    except UsageError as error:
        return paragraph(f"Left out. {error}")
