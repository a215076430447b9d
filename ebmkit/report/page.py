"""The page of a report: one self-contained HTML file, without scripts."""

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
from ebmkit.files import Unwritten, write_text
from ebmkit.report import example_sections, value_sections
from ebmkit.report.context import ReportContext
from ebmkit.report.layout import paragraph
from ebmkit.shortrun import ShortRun


class Section(NamedTuple):
    """A heading, the function that returns the HTML below it, and whether it is fast enough for a run in progress."""

    title: str
    make: Callable[[ReportContext], str]
    fast: bool


SECTIONS = (
    Section("Samples beside real examples", example_sections.samples, fast=True),
    Section("From noise to image", example_sections.noise_to_image, fast=True),
    Section("Measures", value_sections.measures, fast=True),
    Section("Training", value_sections.training, fast=True),
    Section("Energies", value_sections.energy, fast=True),
    Section("Nearest training examples", example_sections.nearest, fast=False),
    Section("Moment matching", value_sections.moment_matching, fast=False),
    Section("Reconstruction", example_sections.reconstruction, fast=False),
    Section("Interpolation", example_sections.interpolation, fast=False),
    Section("Long chains", example_sections.long_chains, fast=False),
    Section("Configuration", value_sections.configuration, fast=True),
    Section("Provenance", value_sections.provenance, fast=True),
)


def write_page(
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
    """Write the report of a run; the file is replaced as a whole.

    Samples are drawn with a generator of the report's own. A section that does not apply is omitted, with the reason.

    Args:
        short: The model.
        examples: The examples it was trained on.
        folder: The folder of the run, with its metrics, configuration and environment.
        path: The file to write; None is `report.html` in the folder.
        held_out: Examples to reconstruct; None reconstructs some of `examples`.
        scores: Measures to list, by name.
        device: The device of the model.
        full: Whether to include the sections that take long.
        count: How many samples to draw, at least 2; of points in the plane, 64 times this many.
        chains: How many chains to show in a row or a column, at most `count` and `batch`.
        updates: The number of updates of each reconstruction.
        batch: How many chains run at once; a replay buffer must hold this many starts.

    Returns:
        The path of the file.

    Raises:
        UsageError: for a number out of range, or a file in a folder that does not exist.
        Unwritten: if the file cannot be written, as on a full disk.
    """
    check("batch", batch, at_least=1)
    check("chains", chains, at_least=1, at_most=batch)
    check("count", count, at_least=2)
    check("chains", chains, at_most=count)
    check("updates", updates, at_least=1)
    context = ReportContext(
        short, examples, held_out, folder, torch.device(device), scores or {}, count, chains, updates, batch
    )
    path = folder / "report.html" if path is None else path
    text = render(context, full)
    try:
        write_text(path, text)
    except Unwritten as error:
        if not path.parent.is_dir():
            raise UsageError(f"{error}; expected a path like runs/a/report.html") from None
        raise
    return path


def render(context: ReportContext, full: bool) -> str:
    """The HTML of the page."""
    parts = [(f"section-{number}", section) for number, section in enumerate(SECTIONS, start=1)]
    contents = "\n".join(f'<li><a href="#{name}">{section.title}</a></li>' for name, section in parts)
    bodies = "\n".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{section.title}</h2>\n'
        f"{body(section, context, full)}</section>"
        for name, section in parts
    )
    template = Template((files("ebmkit.report") / "page.html").read_text(encoding="utf-8"))
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return template.substitute(
        title=escape(f"Report of {context.folder.absolute().name}"),
        subtitle=escape(f"{len(context.examples):,} examples {context.shape}; ebmkit {ebmkit.__version__}, {made}"),
        contents=contents,
        sections=bodies,
    )


def body(section: Section, context: ReportContext, full: bool) -> str:
    """The HTML of a section, or the reason why it is omitted."""
    if not full and not section.fast:
        return paragraph("Omitted while the run is in progress, because it takes long.")
    try:
        return section.make(context)
    except UsageError as error:
        return paragraph(f"Omitted. {error}")
