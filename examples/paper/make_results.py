"""Write docs/results.md: what the paper reports beside what was measured here.

    python examples/paper/make_results.py runs/paper    # collect what is new in this folder, then write the page
    python examples/paper/make_results.py               # only write the page

`runs/paper` has the folders of studies and of figures that experiments.toml names. What is collected is kept in
examples/paper/measured/, and pictures in docs/images/. No number of the page is typed by hand.
"""

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from figure_files import RESULT, hardware
from gradients import NAME as GRADIENTS
from results_page import image_name, page

from ebmkit.files import indented_json, write_text
from ebmkit.study import Study
from ebmkit.study.tables import record

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"


def experiments(file: Path = HERE / "experiments.toml") -> list[dict[str, Any]]:
    """The tables and figures of the paper, in order."""
    found: list[dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))["experiment"]
    return found


def collected_study(folder: Path) -> dict[str, Any]:
    """What a study measured: its plan, its rows, where it ran, and the mean norms of the gradient if they are there."""
    study = Study(folder)
    plan, rows = study.plan, study.write_tables()
    norms = json.loads((folder / GRADIENTS).read_text(encoding="utf-8")) if (folder / GRADIENTS).exists() else {}
    machines = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("cells/*/env.json"))]
    return {
        "seeds": plan.seeds,
        "n": plan.judging.n,
        "features": plan.judging.features,
        "measures": list(plan.measures),
        "varied": [path for axis in plan.axes for path in axis],
        "base": {section: without_paths(values) for section, values in plan.base.items()},
        "hardware": "; ".join(sorted({machine_of(machine) for machine in machines})),
        "torch": ", ".join(sorted({machine["versions"]["torch"] for machine in machines})),
        "rows": [
            {**record(plan, row), "gradients": spread([norms[c.name] for c in study.cells if in_row(c, row, norms)])}
            for row in rows
        ],
    }


def without_paths(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a section that name no file: where it is on a machine is no result."""
    return {key: value for key, value in values.items() if not isinstance(value, Path)}


def in_row(cell: Any, row: Any, norms: dict[str, float]) -> bool:
    """Whether a cell belongs to a row and has a mean norm of the gradient."""
    return cell.varied == row.settings and cell.name in norms


def spread(values: list[float]) -> list[float | None] | None:
    """Mean and sample standard deviation; None of nothing."""
    return [fmean(values), stdev(values) if len(values) > 1 else None] if values else None


def machine_of(machine: dict[str, Any]) -> str:
    """The machine of a run, in a few words, from its env.json."""
    architecture = re.search(r"x86_64|aarch64|arm64|AMD64", machine["platform"])
    name = architecture[0] if architecture else "unknown"
    return hardware(machine["device"], machine["cpu_capability"], machine["threads"], name)


def collect(runs: Path, wanted: list[dict[str, Any]], measured: Path, images: Path) -> None:
    """Keep what the experiments measured: `measured/NAME.json`, and their pictures."""
    for one in wanted:
        name = one.get("study") or one.get("result") or ""
        if "study" in one and (runs / name / "study.toml").exists():
            write_text(measured / f"{name}.json", indented_json(collected_study(runs / name)))
        elif "result" in one and (runs / name / RESULT).exists():
            shutil.copyfile(runs / name / RESULT, measured / f"{name}.json")
        else:
            continue
        for picture in one.get("images", ()):
            shutil.copyfile(runs / name / picture["file"], images / image_name(name, picture["file"]))


def read_measured(folder: Path) -> dict[str, Any]:
    """Everything that was collected, by name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def main(runs: Path | None = None) -> None:
    """Collect, if a folder is given, and write the page."""
    measured = HERE / "measured"
    measured.mkdir(exist_ok=True)
    if runs is not None:
        collect(runs, experiments(), measured, DOCS / "images")
    write_text(DOCS / "results.md", page(experiments(), read_measured(measured)))
    print(f"wrote {DOCS / 'results.md'}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
