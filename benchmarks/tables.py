"""The results as tables, for a terminal and for a document."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import rich.table


@dataclass(frozen=True)
class Table:
    """A table with a title, and notes below it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default_factory=list)

    def rich(self) -> rich.table.Table:
        """The table for a terminal."""
        table = rich.table.Table(
            *self.columns, title=self.title, caption="\n".join(self.notes), title_justify="left", caption_justify="left"
        )
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [
            f"### {self.title}",
            "",
            *(_line(row) for row in (self.columns, ["---"] * len(self.columns), *self.rows)),
        ]
        return "\n".join([*lines, *(text for note in self.notes for text in ("", note)), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def race_table(result: dict[str, Any], *, absolute: bool) -> Table:
    """The results of a race; absolute times only on a GPU, whose clock is stable and which is not shared."""
    columns: dict[str, Any] = {
        "speed": lambda name: f"{result['speed'][name][0]:.2f}",
        "quartiles": lambda name: f"{result['speed'][name][1]:.2f} to {result['speed'][name][2]:.2f}",
        "from its end": lambda name: f"{result['parity'][name]:.0e}",
    }
    if "share" in result:
        columns["of the ceiling"] = lambda name: f"{result['share'][name][0]:.0%}"
    lengths = sorted({steps for peaks in result.get("peak", {}).values() for steps in peaks}, key=int)
    for steps in lengths:
        columns[f"memory, K = {steps}"] = lambda name, steps=steps: _mebibytes(result["peak"][name][steps])
    if absolute:
        columns["ms per step"] = lambda name: f"{1e3 * result['seconds per step'][name]:.3f}"
    if "share" in result and absolute:
        columns["TFLOP/s"] = lambda name: f"{result['flops per step'] / result['seconds per step'][name] / 1e12:.1f}"
    if "launches" in result:
        columns["launches per step"] = lambda name: f"{result['launches'][name]:.1f}"
        columns["waits"] = lambda name: "yes" if result["waits"][name] else "no"
    rows = [[name, *(cell(name) for cell in columns.values())] for name in result["speed"]]
    notes = [f"Not timed: {name}: {why}." for name, why in result["refused"].items()]
    title = f"{result['title']}, batch {result['batch']}, {result['steps']} steps"
    return Table(title, ["contender", *columns], rows, notes)


def _mebibytes(count: int | None) -> str:
    return f"{count / 2**20:.0f} MiB" if count is not None else "not measured"


def growth_table(result: dict[str, Any]) -> Table:
    """The fitted exponents, beside those of the counted operations."""
    fits: dict[str, dict[str, Any]] = result["exponents"]
    rows = [
        [axis, ", ".join(map(str, result["grids"][axis])), f"{result['work'][axis][0]:.2f}"]
        + [f"{fits[name][axis][0]:.2f} ± {fits[name][axis][1]:.2f}" for name in fits]
        for axis in result["grids"]
    ]
    base = ", ".join(f"{name} {value}" for name, value in result["base"].items())
    notes = [f"The others meanwhile: {base}."] + [f"Not timed: {n}: {why}." for n, why in result["refused"].items()]
    return Table(
        "Growth of cost: the exponent p of cost ∝ value**p", ["axis", "values", "operations", *fits], rows, notes
    )
