"""Commands that judge a trained model: evaluate, report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ebmkit.cli.complete import names_of
from ebmkit.cli.console import errors, out, say, tabled
from ebmkit.cli.options import Data, Device, Force, Number, Place, Seed, Weights, refuse_unknown
from ebmkit.errors import UsageError, check

if TYPE_CHECKING:
    from ebmkit.evaluation.measures import Measure


def evaluate(
    run: Place,
    n: Number = None,
    features: Annotated[
        str, typer.Option(help="What is compared: pixels, digits, ...", autocompletion=names_of("features"))
    ] = "pixels",
    inception_weights: Annotated[
        Path | None, typer.Option(help="The Inception weights of 2015, for FID; they are never downloaded.")
    ] = None,
    data: Data = None,
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

    -n is half of the data, at most 5000. Each value stands beside that of real examples and that of the noise which
    chains start from, so that it has a scale. All of it is also written to evaluation.json in the folder of the run.
    """
    with errors():
        from ebmkit.cli import opening, outputs
        from ebmkit.config.recipe import build_part
        from ebmkit.config.resolution import resolve_part
        from ebmkit.evaluation.measures import as_rows, evaluate_model
        from ebmkit.files import indented_json, json_line, write_text

        refuse_unknown(weights=weights)
        check("batch", batch, at_least=1)
        given = [*(settings or []), *([f"features.weights={inception_weights}"] if inception_weights else [])]
        of_data = [one for one in given if one.startswith("data.")]
        component, chosen = resolve_part(
            "features", "inception" if inception_weights else features, [one for one in given if one not in of_data]
        )
        model, rng = opening.opened(run, weights, device, seed)
        examples = opening.examples_of(model, data, of_data)
        made = build_part(component, "features", chosen, {"data": examples})
        count = min(len(examples) // 2, 5000) if n is None else n
        with opening.followed(model.short, -(-count // batch)) as short:
            measures = evaluate_model(short, examples, made, rng, n=count, seed=seed, batch=batch)
        found = {
            "run": str(run),
            "updates": model.saved.updates,
            "weights": model.weights,
            "measures": as_rows(measures),
        }
        path = outputs.generated(run, "evaluation.json") if run.is_file() else run / "evaluation.json"
        write_text(path, indented_json(found))
        if as_json:
            print(json_line(found))
        else:
            show(measures)


def show(measures: "list[Measure]") -> None:
    """Print measures as a table, and what must be known of them."""
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


def shown(value: float | None) -> str:
    """A value in four digits, or a dash if there is none."""
    return "-" if value is None else f"{value:.4g}"


def report(
    run: Place,
    path: Annotated[Path | None, typer.Option("--out", help="File to write; else RUN/report.html.")] = None,
    updates: Annotated[int, typer.Option(help="How many updates the starts of reconstructions get.")] = 200,
    data: Data = None,
    settings: Annotated[list[str] | None, typer.Option("--set", "-s", help="Setting, as data.path=PATH.")] = None,
    weights: Weights = "auto",
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Write a report of a run as one self-contained HTML file: pictures, curves, measures, settings.

    It is made from the folder of the run, its model and its data; the measures are those of the last `ebmkit evaluate`.
    RUN/report.html is replaced each time, another file only with --force.
    """
    with errors():
        from ebmkit.cli import opening, outputs
        from ebmkit.report.page import write_page

        refuse_unknown(weights=weights)
        if run.is_file():
            raise UsageError(f"a report shows how a run was trained, but {run} is a model file: name a folder")
        if path is not None:
            path = outputs.destination(path, path, force, (".html", ".htm"))
        listed = scores(run / "evaluation.json")
        model, _ = opening.opened(run, weights, device, 0)
        made = write_page(
            model.short,
            opening.examples_of(model, data, settings or []),
            run,
            path=path,
            scores=listed,
            device=model.device,
            updates=updates,
            batch=model.recipe.train.batch_size,
        )
        print(made)


def scores(file: Path) -> dict[str, str]:
    """The measures of the last evaluation as a report lists them; empty if there was none.

    Raises:
        UsageError: if the file is not what `ebmkit evaluate` writes.
    """
    if not file.exists():
        return {}
    try:
        return {
            one["name"]: f"{shown(one['value'])} (real {shown(one['real_against_real'])}, "
            f"noise {shown(one['noise_against_real'])}; n={one['n']})"
            for one in json.loads(file.read_text(encoding="utf-8"))["measures"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"cannot use {file}; write it again with: ebmkit evaluate {file.parent}") from None
