"""Commands that judge a trained model: evaluate, report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from ebmkit.cli.complete import names_of
from ebmkit.cli.console import errors, out, say, tabled
from ebmkit.cli.options import Device, Force, Number, Place, Seed, Weights, refuse_unknown
from ebmkit.errors import UsageError, check, nearest
from ebmkit.registry import registry

if TYPE_CHECKING:
    from ebmkit.data.examples import Examples
    from ebmkit.evaluation import Measure


def evaluate(
    run: Place,
    n: Number = None,
    features: Annotated[
        str, typer.Option(help="What is compared: pixels, digits, ...", autocompletion=names_of("features"))
    ] = "pixels",
    inception_weights: Annotated[
        Path | None, typer.Option(help="The Inception weights of 2015, for FID; they are never downloaded.")
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", "-s", help="Setting, as features.size=8.")] = None,
    batch: Annotated[int, typer.Option(help="How many chains run at once.")] = 64,
    seed: Seed = 0,
    weights: Weights = "auto",
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Measure samples against the data: Fréchet and kernel distance, precision, recall and more.

    -n is half of the data, at most 5000. Each figure stands beside that of real examples and that of the noise which
    chains start from, so that it has a scale. All of it is written to RUN/evaluation.json too.
    """
    with errors():
        import torch

        from ebmkit.cli import opened
        from ebmkit.evaluation import as_rows
        from ebmkit.evaluation import evaluate as measure
        from ebmkit.folder import replace
        from ebmkit.loading import network
        from ebmkit.watch import json_line

        refuse_unknown(weights=weights)
        check("batch", batch, at_least=1)
        typed = [*(settings or []), *([f"features.weights={inception_weights}"] if inception_weights else [])]
        name = "inception" if inception_weights else features
        model = opened.open_model(run, weights, device, seed)
        made = featured(name, typed, model.run.examples)
        count = min(len(model.run.examples) // 2, 5000) if n is None else n
        with opened.followed(model.short, -(-count // batch)) as short:
            measures = measure(
                lambda n: short.sample(n, model.rng, batch=batch),
                lambda n: torch.cat([short.init.sample(min(batch, n - had), model.rng) for had in range(0, n, batch)]),
                model.run.examples,
                made,
                n=count,
                seed=seed,
            )
        _, kept = network(model.run, cast(Any, weights))
        found = {"run": str(run), "updates": model.run.trainer.index, "weights": kept, "measures": as_rows(measures)}
        replace(run / "evaluation.json", json.dumps(found, indent=2) + "\n")
        if as_json:
            print(json_line(found))
        else:
            show(measures)


def featured(name: str, typed: list[str], examples: "Examples") -> Any:
    """Features of that name with the settings that were typed, for these examples.

    Raises:
        UsageError: for an unknown name or setting, or features that do not take these examples.
    """
    from ebmkit.building import wrapped
    from ebmkit.config import typed as layer
    from ebmkit.settings import REQUIRED, bind, signature

    component = registry().find("features", name)
    target = component.load()
    known = signature(target).settings
    chosen = {}
    for key, value in layer(typed, ("features",)).sections.get("features", {}).items():
        if key not in known:
            raise UsageError(f"features '{name}' have no setting '{key}'.{nearest(key, known)}")
        chosen[key] = known[key].convert(value.value, value.text)
    for key, setting in known.items():
        if setting.default is REQUIRED and key not in chosen:
            raise UsageError(f"features '{name}' need {key}: {setting.help} Write: -s features.{key}=...")
    return wrapped("features", chosen, lambda: bind(target, {"data": examples}, chosen))


def show(measures: "list[Measure]") -> None:
    """Print measures as a table, and what must be known of them."""
    one = measures[0]
    rows = [
        (
            measure.name,
            figure(measure.value) + (f" ± {measure.error:.2g}" if measure.error is not None else ""),
            figure(measure.real_against_real),
            figure(measure.noise_against_real),
        )
        for measure in measures
    ]
    out().print(tabled(("measure", "samples", "real", "noise"), rows, "samples real noise"), soft_wrap=False)
    say(f"n={one.n}, seed={one.seed}, features={one.features}, preprocessing: {one.preprocessing}")
    for note in dict.fromkeys(measure.note for measure in measures if measure.note):
        say(f"note: {note}")


def figure(value: float | None) -> str:
    """A figure in four digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.4g}"


def report(
    run: Place,
    path: Annotated[Path | None, typer.Option("--out", help="File to write; else RUN/report.html.")] = None,
    updates: Annotated[int, typer.Option(help="How many updates reconstructions get.")] = 200,
    weights: Weights = "auto",
    device: Device = "auto",
    force: Force = False,
) -> None:
    """Write a report of a run as one self-contained HTML file: pictures, curves, measures, settings.

    It is made from the run's folder and its model; measures are those of the last `ebmkit evaluate`. RUN/report.html is
    written anew each time; another file is replaced with --force only.
    """
    with errors():
        from ebmkit.cli import opened, outputs
        from ebmkit.report.page import write

        refuse_unknown(weights=weights)
        if path is not None:
            path = outputs.destination(path, path, force, (".html", ".htm"))
        listed = scores(run / "evaluation.json")
        model = opened.open_model(run, weights, device, 0)
        made = write(
            model.short,
            model.run.examples,
            run,
            path=path,
            scores=listed,
            device=model.rng.device,
            updates=updates,
            batch=model.run.train.batch_size,
        )
        print(made)


def scores(file: Path) -> dict[str, str]:
    """The measures of the last evaluation as a report lists them; none where there was none.

    Raises:
        UsageError: if the file is not what `ebmkit evaluate` writes.
    """
    if not file.exists():
        return {}
    try:
        return {
            one["name"]: f"{figure(one['value'])} (real {figure(one['real_against_real'])}, "
            f"noise {figure(one['noise_against_real'])}; n={one['n']})"
            for one in json.loads(file.read_text(encoding="utf-8"))["measures"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"cannot use {file}; write it anew: ebmkit evaluate {file.parent}") from None
