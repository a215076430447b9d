"""Studies as TOML: `study.toml`, and files of settings with a table `[study]`.

Such a file has the sections of a configuration, which are the same in every cell, and

    [study]
    seeds = 3
    n = 500
    measures = ["frechet", "precision"]

    [study.features]
    use = "digits"

    [[study.vary]]                          # one table is one axis; axes multiply
    "sampler.steps" = [5, 10, 25]
    "train.data_noise" = [0.15, 0.1, 0.05]  # settings of one axis change together
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ebmkit.config.layers import layer_of
from ebmkit.config.tables import bare, dumps, toml
from ebmkit.config.toml_text import line_of, table_of, text_of
from ebmkit.errors import UsageError, nearest
from ebmkit.study.plan import Plan

KEYS = {"seeds": int, "n": int, "measures": list, "features": dict, "vary": list}
HEADER = "# The plan of a study; `ebmkit study` reads and extends it.\n\n"


def read_study(path: str | Path) -> dict[str, Any]:
    """What a file asks for, as the arguments of `Study`: `Study(folder, **read_study("k.toml"))`.

    A configuration without a table `[study]` is accepted: then only `settings` is given.

    Raises:
        UsageError: if it cannot be read or is not TOML, or for an unknown key of the study, with the line.
    """
    name, text = str(path), text_of(Path(path))
    table = table_of(text, name)
    study = table.pop("study", {})
    where = f"{name}:{line_of(text, 'study')}"
    if not isinstance(study, Mapping):
        raise UsageError(f"{where}: study is a table, written [study]")
    for key, value in study.items():
        if key not in KEYS:
            raise UsageError(f"{where}: study has no key '{key}'.{nearest(key, KEYS)} It has: {', '.join(KEYS)}")
        if not isinstance(value, KEYS[key]) or isinstance(value, bool):
            raise UsageError(f"{where}: study.{key} must be of type {KEYS[key].__name__}, not {value!r}")
    vary = study.get("vary", [])
    for axis in vary:
        if not isinstance(axis, Mapping) or not all(isinstance(values, list) for values in axis.values()):
            raise UsageError(
                f'{name}: each [[study.vary]] has lists by section.key in quotes, like "sampler.steps" = [5, 10]'
            )
    settings = layer_of(table, name, lambda section, key: f"{name}:{line_of(text, section, key)}")
    return {"settings": settings, **study}


def study_text(plan: Plan) -> str:
    """The text of `study.toml`, which `read_study` reads back."""
    judging = plan.judging
    first: dict[str, Any] = {"seeds": plan.seeds, "measures": list(plan.measures)}
    if judging.n is not None:
        first["n"] = judging.n
    lines = [dumps({"study": first}), dumps({"study.features": {"use": judging.features, **judging.settings}})]
    for axis in plan.axes:
        lines.append("[[study.vary]]")
        lines += [f"{bare(path)} = {toml(values)}" for path, values in axis.items()]
        lines.append("")
    # Watchers last, as they are read back: a study that goes on as it was is not written again.
    base = dict(sorted(plan.base.items(), key=lambda section: section[0].startswith("watch.")))
    return HEADER + "\n".join(lines) + "\n" + dumps(base)
