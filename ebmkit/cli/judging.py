"""Commands that judge a trained model: evaluate, report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ebmkit.cli.complete import names_of
from ebmkit.cli.console import errors, out, result, say, tabled
from ebmkit.cli.options import (
    Data,
    DataSettings,
    Device,
    Folder,
    Force,
    Number,
    Place,
    Seed,
    Weights,
    expanded,
    refuse_unknown,
)
from ebmkit.cli.processes import one_process, printed_once
from ebmkit.errors import UsageError, check

if TYPE_CHECKING:
    from ebmkit.evaluation.measures import Measure

CHAINS = 8  # how many chains a report shows, if a batch of the run has as many


def evaluate(
    run: Place,
    n: Number = None,
    features: Annotated[
        str, typer.Option(help="What is compared: pixels, digits, ...", autocompletion=names_of("features"))
    ] = "pixels",
    inception_weights: Annotated[
        Path | None,
        typer.Option(help="The Inception weights of 2015, for FID; they are never downloaded.", callback=expanded),
    ] = None,
    data: Data = None,
    other: Annotated[
        str | None,
        typer.Option(
            "--other",
            help="A data set, by name, that the model should find unlikely; its settings are other.key.",
            autocompletion=names_of("data"),
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Setting, as features.size=8 or data.path=PATH.")
    ] = None,
    batch: Annotated[int, typer.Option(help="How many chains run at once.")] = 64,
    seed: Seed = 0,
    weights: Weights = "auto",
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Measure samples against the data: Fréchet and kernel distance, precision, recall and more.

    -n is half of the data, at most 5000. Each value is shown beside that of real examples and that of noise, like the
    starts of new chains, so that it has a scale. All of it is also written to evaluation.json in the folder of the run.
    A model of classes is also judged as a classifier, and with --other how well its scores separate the two data sets.
    What a model itself says of examples, as the log density of nt-ebm, is shown as its mean over the data.
    Several processes, started by torchrun, draw a part of the samples each.
    """
    from ebmkit.processes import joined

    with errors(), printed_once(processes := joined()):
        import torch

        from ebmkit.cli import opening
        from ebmkit.config.recipe import build_part
        from ebmkit.config.resolution import resolve_part
        from ebmkit.evaluation.classes import class_measures
        from ebmkit.evaluation.measures import check_count, evaluate_model
        from ebmkit.evaluation.model_values import value_measures
        from ebmkit.files import json_line
        from ebmkit.runs.evaluations import count_for, evaluation_of, write_evaluation

        with processes.together():
            refuse_unknown(weights=weights)
            check("batch", batch, at_least=1)
            given = [*(settings or []), *([f"features.weights={inception_weights}"] if inception_weights else [])]
            typed = opening.typed_settings(data, given, ("features", "data", "other", "method"))
            component, chosen = resolve_part("features", "inception" if inception_weights else features, typed)
            model, rng = opening.opened(run, weights, device, seed, typed, processes)
            examples = opening.examples_of(model, typed)
            built: Any = build_part(component, "features", chosen, {"data": examples}) if processes.first else None
            others = opening.other_examples(other, typed) if other is not None and processes.first else None
            count = count_for(examples, n)
            check_count(examples, count)
            with opening.drawn(model.short, count, rng, batch, processes) as chunks:
                samples = list(chunks)
        if not processes.first:  # the first needs none of the others from here on
            return
        x = torch.cat(samples).to(model.device)
        measures = evaluate_model(model.short, examples, built, rng, n=count, seed=seed, batch=batch, samples=x)
        measures += class_measures(model.short, examples, model.device, n=count, seed=seed, other=others)
        measures += value_measures(model.short, examples, model.device, n=count, seed=seed, batch=batch)
        found = evaluation_of(model, measures)
        if as_json:
            result(json_line(found))
        else:
            show(measures)
        write_evaluation(model, found)  # after they are shown: the folder may be full, or read-only


def show(measures: "list[Measure]") -> None:
    """Print measures as a table, and the notes about them."""
    from ebmkit.runs.evaluations import shown

    one = measures[0]
    rows = [
        (
            measure.name,
            shown(measure.value) + (f" ± {measure.error:.2g}" if measure.error is not None else ""),
            shown(measure.real_against_real),
            shown(measure.noise_against_real),
        )
        for measure in measures
    ]
    out().print(tabled(("measure", "samples", "real", "noise"), rows, "samples real noise"), soft_wrap=False)
    say(f"n={one.n}, seed={one.seed}, features={one.features}, preprocessing: {one.preprocessing}")
    for note in dict.fromkeys(measure.note for measure in measures if measure.note):
        say(f"note: {note}")


def report(
    run: Folder,
    path: Annotated[
        Path | None, typer.Option("--out", help="File to write; else RUN/report.html.", callback=expanded)
    ] = None,
    updates: Annotated[int, typer.Option(help="How many updates the starts of reconstructions get.")] = 200,
    data: Data = None,
    settings: DataSettings = None,
    weights: Weights = "auto",
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Write a report of a run as one self-contained HTML file: pictures, curves, measures, settings.

    It is made from the folder of the run, its model and its data; the measures are those of the last `ebmkit evaluate`.
    RUN/report.html is replaced each time, another file only with --force.
    """
    with errors(), one_process("report"):
        from ebmkit.cli import opening, outputs
        from ebmkit.report.page import write_page
        from ebmkit.runs.evaluations import scores_in
        from ebmkit.runs.folder import is_model_file

        refuse_unknown(weights=weights)
        if is_model_file(run):
            raise UsageError(
                f"a report shows how a run was trained, but {run} is a model file: name a folder, like runs/a"
            )
        if path is not None:
            path = outputs.destination(path, run, "", force, (".html", ".htm"))
        scores = scores_in(run)
        typed = opening.typed_settings(data, settings or [])
        model, _ = opening.opened(run, weights, device, 0, typed)
        made = write_page(
            model.short,
            opening.examples_of(model, typed),
            run,
            path=path,
            scores=scores,
            device=model.device,
            updates=updates,
            chains=min(CHAINS, model.recipe.train.batch_size),
            batch=model.recipe.train.batch_size,
        )
        result(str(made))
