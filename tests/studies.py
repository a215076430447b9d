"""What the tests of studies share: a grid of small runs on points in the plane."""

from pathlib import Path
from typing import Any

from ebmkit.study.folder import Study
from ebmkit.study.results import Result

SETTINGS: dict[str, dict[str, Any]] = {
    "energy": {"use": "mlp", "width": 4, "depth": 1},
    "sampler": {"step_size": 0.1},
    "data": {"use": "moons", "count": 80},
    "train": {"iterations": 3, "batch_size": 8, "device": "cpu"},
    "watch.pictures": {"every": 0},
}
VARY = {"sampler.steps": [2, 3]}
WORDS = [
    *(word for section, one in SETTINGS.items() for key in one for word in ("-s", f"{section}.{key}={one[key]}")),
    *("-s", "sampler.steps=2,3", "-n", "30", "--seeds", "2"),
]


def small(folder: str | Path, vary: Any = None, seeds: int | None = 2, **changes: Any) -> Study:
    """A study of small runs; `changes` are settings by section."""
    settings = {
        section: {**SETTINGS.get(section, {}), **changes.get(section, {})} for section in {**SETTINGS, **changes}
    }
    return Study(folder, settings, vary=VARY if vary is None else vary, seeds=seeds, n=30)


def finished(folder: str | Path, **settings: Any) -> tuple[Study, list[Result]]:
    """A small study whose cells have ended, and their results."""
    study = small(folder, **settings)
    return study, list(study.run())


def without_times(study: Study) -> tuple[list[list[str]], list[list[str]]]:
    """The cells of `table.md` and of `table.csv`, without the columns of times, which are the last."""
    study.write_tables()
    markdown = (study.folder / "table.md").read_text(encoding="utf-8").splitlines()
    csv = (study.folder / "table.csv").read_text(encoding="utf-8").splitlines()
    return [line.split(" | ")[:-1] for line in markdown], [line.split(",")[:-3] for line in csv]
