"""The work on one cell: train it, or resume it, then evaluate it; an ordinary run and an ordinary evaluation."""

import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from torch import Generator

from ebmkit.config.layers import Layer, Value
from ebmkit.config.recipe import build_part
from ebmkit.config.resolution import resolve_part
from ebmkit.data.examples import Examples
from ebmkit.errors import Diverged, Interrupted, UsageError, kind_and_message, one_line
from ebmkit.evaluation.measures import as_rows, check_count, evaluate_model
from ebmkit.features.protocols import Features
from ebmkit.files import Unwritten
from ebmkit.methods.update import Update
from ebmkit.processes import Processes
from ebmkit.runs.device import occupy
from ebmkit.runs.evaluations import count_for, evaluation_of, write_evaluation
from ebmkit.runs.model import open_model
from ebmkit.runs.newest import is_saved
from ebmkit.runs.run import Run
from ebmkit.runs.training import new_run, resume_run
from ebmkit.study.cost import Cost
from ebmkit.study.plan import Cell, Judging
from ebmkit.study.results import Result

Follow = Callable[[Run, Iterator[Update]], Iterator[Update]]


def unseen(run: Run, updates: Iterator[Update]) -> Iterator[Update]:
    """The updates as they are."""
    return updates


def work_on(cell: Cell, place: Path, judging: Judging, announce: Callable[[str], None], follow: Follow) -> Result:
    """Train and evaluate a cell, from where it was left.

    Args:
        cell: The cell.
        place: The folder of its run; one without a checkpoint, of a process that died early, is made again.
        judging: How its model is judged.
        announce: Called with a line for the user when a signal arrives.
        follow: Shows the updates.

    Returns:
        How it ended. A divergence and an error of the cell are results.

    Raises:
        Interrupted: after a signal; the state is saved.
    """
    blank = Result(cell.name, "done", 0, 0, 0.0)
    try:
        if is_saved(place):
            # With the data where the plan has them now; others are refused.
            run = resume_run(place, {"data": cell.recipe.sections["data"]}, processes=Processes())
        else:
            shutil.rmtree(place, ignore_errors=True)
            run = new_run(cell.recipe, place, processes=Processes())
        features = features_of(judging, run.examples)  # before the training: an error in them costs nothing then
        check_count(run.examples, count_for(run.examples, judging.n))
        cost = Cost(run, place)
        try:
            train(run, announce, follow)
        except Diverged as error:
            blank = replace(blank, status="diverged", error=one_line(error))
        blank = replace(blank, updates=run.trainer.index, passes=cost.passes, seconds=round(cost.seconds, 3))
        return blank if blank.status == "diverged" else evaluated(blank, place, judging, features, run.examples)
    except Interrupted:
        raise
    except (UsageError, Unwritten) as error:
        return replace(blank, status="failed", error=one_line(error))
    except Exception as error:
        return replace(blank, status="failed", error=kind_and_message(error), trace=traceback.format_exc())


def train(run: Run, announce: Callable[[str], None], follow: Follow) -> None:
    """Make the remaining updates of a run, if there are any."""
    if run.trainer.index < run.recipe.train.iterations:
        with closing(follow(run, run.train(announce))) as updates:  # type: ignore[type-var]
            for _ in updates:
                pass


def features_of(judging: Judging, examples: Examples) -> Features:
    """The features that a model is judged on."""
    given = {key: Value(value, "study.toml") for key, value in judging.settings.items()}
    component, settings = resolve_part("features", judging.features, Layer("study", {"features": given}))
    built: Features = build_part(component, "features", settings, {"data": examples})
    return built


def evaluated(result: Result, place: Path, judging: Judging, features: Features, examples: Examples) -> Result:
    """The result with the measures of the model; they are also written to `evaluation.json`, as `evaluate` does."""
    began = time.perf_counter()
    model = open_model(place)
    occupy(model.threads)
    rng = Generator(model.device).manual_seed(0)
    measures = evaluate_model(model.short, examples, features, rng, n=count_for(examples, judging.n))
    write_evaluation(model, evaluation_of(model, measures))
    seconds = round(time.perf_counter() - began, 3)
    return replace(result, measures=tuple(as_rows(measures)), evaluation_seconds=seconds)
