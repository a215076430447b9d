"""What `ebmkit study` prints: a command for each cell, how each ended, and the table."""

import json
import shlex
from typing import TYPE_CHECKING, Any

from ebmkit.cli.console import out, result, say

if TYPE_CHECKING:
    from ebmkit.study.folder import Study
    from ebmkit.study.results import Result
    from ebmkit.study.rows import Row


def print_commands(study: "Study", as_json: bool) -> None:
    """Print a command for each cell on stdout."""
    for number, cell in enumerate(study.cells, start=1):
        command = shlex.join(["ebmkit", "study", str(study.folder), "--cell", str(number)])
        result(json.dumps({"schema": 2, "cell": cell.name, "command": command}) if as_json else command)


def line_of(ended: "Result") -> dict[str, Any]:
    """A result as a line of JSON: without the traceback, which is in its file."""
    from dataclasses import asdict

    return {key: value for key, value in asdict(ended).items() if key != "trace"}


def print_ended(ended: "Result", number: dict[str, int]) -> None:
    """Print how a cell ended."""
    how = f"{ended.updates} updates, {ended.seconds:.1f} s, evaluated in {ended.evaluation_seconds:.1f} s"
    text = f"{ended.status:9} {number[ended.cell]} of {len(number)}: {ended.cell}: {ended.error or how}"
    say(text, None if ended.status == "done" else "yellow")


def show(study: "Study", quiet: bool, as_json: bool) -> None:
    """Print the table, then write it and the figure: the folder may be full, or read-only."""
    from ebmkit.study.tables import notes, record

    study.check_begun()
    rows = study.rows()
    if as_json:
        table = [record(study.plan, row) for row in rows]
        result(json.dumps({"schema": 2, "folder": str(study.folder), "rows": table}))
    elif not quiet:
        out().print(printed(study, rows), soft_wrap=False)
        for note in notes(study.plan, rows):
            say(f"note: {note}")
    study.write_tables()
    if quiet and not as_json:
        result(str(study.folder / "table.md"))
    elif not as_json:
        say(f"written   {study.folder}: table.md, table.csv, figure.png")


def printed(study: "Study", rows: "list[Row]") -> Any:
    """The table for a terminal: the values of noise and of real examples are below those of the models."""
    from rich.table import Table
    from rich.text import Text as Line

    from ebmkit.study import tables
    from ebmkit.study.plan import written

    plan = study.plan
    table = Table(box=None, pad_edge=False, padding=(0, 1, 1, 0))
    for title in (*tables.labels(plan), *tables.titles(plan), "runs"):
        table.add_column(title, overflow="fold")
    for row in rows:
        scores = [tables.score_texts(row.scores.get(short)) for short in plan.measures]
        cells = [
            *(written(value) for value in row.settings.values()),
            *(f"{one}\nnoise {noise}\nreal {real}" for one, noise, real in scores),
            f"{tables.runs_text(row)}\n{tables.updates_text(row)} updates\n{tables.passes_text(row)} passes\n"
            f"{tables.seconds_text(row)}",
        ]
        table.add_row(*(Line(cell) for cell in cells))
    return table
