"""A study in its folder: `study.toml`, a run for each cell, and their results."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ebmkit.claims import claim
from ebmkit.errors import Interrupted, UsageError, check
from ebmkit.files import stamp, write_text
from ebmkit.runs.folder import CONFIG
from ebmkit.runs.links import refuse_links_out
from ebmkit.runs.signals import stop_signals
from ebmkit.study.extension import extended
from ebmkit.study.plan import Cell, Plan
from ebmkit.study.planning import Settings, Vary, plan_of
from ebmkit.study.results import Result, read_result, result_path, write_result
from ebmkit.study.rows import Row, rows_of
from ebmkit.study.tables import csv_text, markdown
from ebmkit.study.toml_file import read_study, study_text
from ebmkit.study.work import Follow, unseen, work_on
from ebmkit.study.workers import results_of_workers

NAME = "study.toml"


class Study:
    """A grid of settings over seeds; each cell is an ordinary run, in `FOLDER/cells/`.

    >>> study = Study("studies/k", {"train": {"iterations": 60}}, vary={"sampler.steps": [5, 10]})  # doctest: +SKIP
    >>> for result in study.run():
    ...     print(result.cell, result.status)

    Nothing is written before `save` or `run` is called. If the folder has a study, that study goes on: what is not
    given here is as it was, more seeds and more values are added, and any other difference is refused.

    Args:
        folder: The folder of the study.
        settings: The settings that are the same in every cell: sections, as in a configuration, or layers.
        vary: Lists of values by `section.key`: each multiplies the grid. To have settings change together, several such
            tables: the lists of one table change together, and the tables multiply.
        seeds: How many seeds, from `train.seed` of the settings; 3 by default.
        features: Of an evaluation: `{"use": "digits"}`, and settings of these features; `pixels` by default.
        n: The number of samples of an evaluation; by default half of the data, at most 5000.
        measures: The measures to show; `ebmkit.study.measures.KINDS` has their names.

    Attributes:
        plan: What the study consists of.
        busy: The cells that `run` left to other processes, and which these are.

    Raises:
        UsageError: for settings that cannot be used in some cell, a folder of something else, or another study than
            that of the folder.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: Settings | None = None,
        *,
        vary: Vary | None = None,
        seeds: int | None = None,
        features: Mapping[str, Any] | None = None,
        n: int | None = None,
        measures: Sequence[str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        given: dict[str, Any] = {"seeds": seeds, "n": n, "measures": measures, "features": features}
        asked = {key: value for key, value in given.items() if value is not None}
        self.busy: dict[str, str] = {}
        self.plan: Plan
        if (self.folder / NAME).is_file():
            known = read_study(self.folder / NAME)
            if settings is not None or vary is not None:
                asked |= {"settings": settings or {}, "vary": vary or ()}
            self.plan = extended(plan_of(**known), plan_of(**{**known, **asked}))
        else:
            self.refuse_other_folder(settings is None and vary is None)
            self.plan = plan_of(settings or {}, vary or (), **asked)

    def refuse_other_folder(self, nothing_asked: bool) -> None:
        """Refuse a folder that has no study, if it has a run or if nothing says what the study is.

        Raises:
            UsageError: in both cases.
        """
        if (self.folder / CONFIG).exists():
            raise UsageError(f"{self.folder} is the folder of a run, not of a study; name another folder")
        if nothing_asked:
            raise UsageError(
                f"{self.folder} has no {NAME}: say what varies, like -s sampler.steps=5,10, or name another folder"
            )

    @property
    def cells(self) -> list[Cell]:
        """Every cell, in the order in which they are run."""
        return self.plan.cells

    def place(self, cell: Cell) -> Path:
        """The folder of the run of a cell."""
        return self.folder / "cells" / cell.name

    def result(self, cell: Cell) -> Result | None:
        """How a cell ended; None if it has not."""
        return read_result(self.folder, cell.name)

    def rows(self) -> list[Row]:
        """The results so far, a row for each point of the grid, over its seeds."""
        return rows_of(self.plan, [(cell, self.result(cell)) for cell in self.cells])

    def check_begun(self) -> None:
        """Refuse a study that has not begun.

        Raises:
            UsageError: in this case.
        """
        if not (self.folder / NAME).is_file():
            raise UsageError(f"{self.folder} has no {NAME}: the study has not begun, so there is no table")

    def write_tables(self) -> list[Row]:
        """Write `table.md`, `table.csv` and `figure.png` of the results so far, and return their rows.

        Raises:
            UsageError: if the study has not begun.
        """
        from ebmkit.study.figure import write_figure

        self.check_begun()
        rows = self.rows()
        write_text(self.folder / "table.md", markdown(self.plan, rows))
        write_text(self.folder / "table.csv", csv_text(self.plan, rows))
        write_figure(self.plan, rows, self.folder / "figure.png")
        return rows

    def save(self) -> None:
        """Make the folder, and write `study.toml` if it is another than that of the folder, which may be read-only.

        Raises:
            UsageError: if the folder cannot be made, or something in it is a link out of it.
            Unwritten: if the file cannot be written.
        """
        try:
            for name in ("cells", "claims", "results"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder {self.folder} of the study: {error.strerror}") from None
        refuse_links_out(self.folder)
        refuse_links_out(self.folder / "cells")
        text, path = study_text(self.plan), self.folder / NAME
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)

    def run(
        self,
        *,
        jobs: int = 1,
        only: Cell | None = None,
        announce: Callable[[str], None] | None = None,
        follow: Follow | None = None,
    ) -> Iterator[Result]:
        """Work on every cell that has no result and that no other process works on.

        In the main thread, SIGINT, SIGTERM and SIGHUP end it after the current update or evaluation.

        Args:
            jobs: How many processes work at once. With more than one they are new processes, which know the parts of
                installed packages, but not those that this program has registered.
            only: Work on this cell only.
            announce: Called with a line for the user when a signal arrives.
            follow: Shows the updates of a run; with one process only.

        Yields:
            The result of every cell that ended, after it is written.

        Raises:
            UsageError: at the call, for a number of processes that is not positive.
            Interrupted: after a signal; the message says how to go on.
        """
        check("jobs", jobs, at_least=1)
        self.save()
        say = announce or (lambda line: None)
        if jobs > 1 and only is None:
            return results_of_workers(self.folder, jobs, say)
        return self._run([only] if only is not None else self.cells, say, follow or unseen)

    def _run(self, cells: list[Cell], announce: Callable[[str], None], follow: Follow) -> Iterator[Result]:
        left = {cell.name: cell for cell in cells}
        # An error may have been mended since the last time; one that a process beside this one finds has not.
        retried = {name: stamp(result_path(self.folder, name)) for name in left}
        with stop_signals(announce) as stop:
            worked = True
            while worked:  # again after each round: a cell of a process that died meanwhile is free
                worked = False
                for cell in list(left.values()):
                    if stop.is_set():
                        raise Interrupted(f"stopped before {cell.name}; {self.go_on()}")
                    with claim(self.folder / "claims" / cell.name) as owner:
                        if owner:
                            self.busy[cell.name] = owner
                            continue
                        del left[cell.name]
                        self.busy.pop(cell.name, None)
                        if self.has_ended(cell, retried[cell.name]):
                            continue
                        result, worked = self._worked(cell, announce, follow), True
                        write_result(self.folder, result)
                    yield result

    def has_ended(self, cell: Cell, retried: tuple[int, int] | None) -> bool:
        """Whether there is nothing to do for a cell; the failure whose file has the stamp `retried` is tried again."""
        result = self.result(cell)
        return result is not None and (result.final or stamp(result_path(self.folder, cell.name)) != retried)

    def _worked(self, cell: Cell, announce: Callable[[str], None], follow: Follow) -> Result:
        try:
            return work_on(cell, self.place(cell), self.plan.judging, announce, follow)
        except Interrupted as error:
            stopped = str(error).partition(";")[0]
            raise Interrupted(f"{cell.name} {stopped}; {self.go_on()}") from None

    def go_on(self) -> str:
        """How a study that was stopped goes on."""
        return f"go on with: ebmkit study {self.folder}"
