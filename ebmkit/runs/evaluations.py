"""`evaluation.json`: the last evaluation of a model, its only writer and its only reader."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.evaluation.measures import Measure, as_rows
from ebmkit.files import indented_json, json_of, write_text
from ebmkit.runs.folder import generated, is_model_file
from ebmkit.runs.model import Model

NAME = "evaluation.json"
MOST = 5000  # samples of an evaluation whose number was not chosen


def count_for(examples: Examples, n: int | None) -> int:
    """How many samples to compare: `n`, or half of the data, at most 5000."""
    return min(len(examples) // 2, MOST) if n is None else n


def evaluation_of(model: Model, measures: Sequence[Measure]) -> dict[str, Any]:
    """Measures of a model as they are printed and written: `schema`, `run`, `updates`, `weights`, `measures`.

    A model whose method has settings of drawing also has `drawing`: these settings.
    """
    drawing = {key: model.recipe.plain["method"][key] for key in model.method.drawing}
    return {
        "schema": 2,
        "run": str(model.saved.source),
        "updates": model.saved.updates,
        "weights": model.weights,
        **({"drawing": drawing} if drawing else {}),
        "measures": as_rows(list(measures)),
    }


def write_evaluation(model: Model, found: Mapping[str, Any]) -> None:
    """Write what `evaluation_of` gives to `evaluation.json`: in the folder of the run, or beside a model file.

    Raises:
        Unwritten: if it cannot be written.
    """
    place = model.saved.source
    write_text((generated(place) if is_model_file(place) else place) / NAME, indented_json(found))


def scores_in(folder: Path) -> dict[str, str]:
    """The measures of the last evaluation in the folder of a run, as a report lists them; empty if there was none.

    Raises:
        UsageError: if the file is not what `write_evaluation` writes.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        return {
            one["name"]: f"{shown(one['value'])} (real {shown(one['real_against_real'])}, "
            f"noise {shown(one['noise_against_real'])}; n={one['n']})"
            for one in json_of(path.read_text(encoding="utf-8"))["measures"]
        }
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"cannot use {path}; write it again with: ebmkit evaluate {folder}") from None


def shown(value: float | None) -> str:
    """A value in four digits, or a dash if there is none."""
    return "-" if value is None else f"{value:.4g}"
