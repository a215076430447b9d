"""The other files of the folder of a run: metrics, environment, evaluation and settings."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from hypothesis import strategies as st

from ebmkit.config.layers import loads
from ebmkit.config.resolution import resolve
from ebmkit.evaluation.training_curves import correlations, read_events, read_metrics
from ebmkit.report.value_sections import happened, provenance
from ebmkit.runs.evaluations import scores_in
from ebmkit.runs.events import has_diverged, rewrite_metrics
from ebmkit.runs.folder import rewrite_folder, settings_in
from fuzz.kind import Kind
from fuzz.settings import SMALL
from fuzz.values import json_texts, toml_texts

UPDATE = {"update": 1, "gap": 0.5, "loss": 0.5, "start_gradient": 1.0, "end_gradient": 2.0, "seconds_per_update": 0.1}
ROLLBACK = {
    **{"event": "rollback", "update": 9, "to_update": 5, "reason": "gap is NaN"},
    **{"lr": 1e-4, "gradient_penalty": 1.0},
}
MEASURE = {
    **{"name": "Fréchet distance (pixels)", "value": 1.5, "real_against_real": 0.1},
    **{"noise_against_real": 9.0, "n": 10, "note": ""},
}


def lines(*values: Any) -> bytes:
    """Lines of JSON."""
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def line_texts(*valid: Any) -> st.SearchStrategy[bytes]:
    """Lines of JSON with wrong values."""
    one = st.one_of(*(json_texts(value) for value in valid))
    return st.lists(one | st.just(lines(valid[0]).strip()), min_size=1, max_size=5).map(
        lambda all: b"\n".join(all) + b"\n"
    )


def metrics(place: Path) -> list[bytes]:
    """Updates, and a rollback between them."""
    later = [{**UPDATE, "update": index, "gap": index / 7} for index in range(2, 8)]
    diverged = {"event": "diverged", "update": 9, "reason": "gap is NaN"}
    return [
        lines(UPDATE, *later),
        lines(UPDATE, ROLLBACK, *later),
        lines(UPDATE, diverged),
        b"\xef\xbb\xbf" + lines(UPDATE),
    ]


def read_metrics_of(place: Path) -> None:
    """What a report shows of the metrics."""
    for event in read_events(place):
        happened(event)
    correlations(read_metrics(place))


def resume_metrics(place: Path) -> None:
    """The metrics cut at an update, as a resumed run does."""
    has_diverged(place)
    rewrite_metrics(place, 3, [ROLLBACK])


def environment(place: Path) -> list[bytes]:
    """What a run writes about where it was made."""
    return [json.dumps({"versions": {"torch": "2"}, "platform": "x", "resumed": [{"from_update": 1}]}).encode()]


def read_environment(place: Path) -> None:
    """The section of a report, and the file as a resumed run continues it."""
    rewrite_folder(place, RECIPE, 1, torch.device("cpu"))
    provenance(cast(Any, SimpleNamespace(folder=place)))


def evaluation(place: Path) -> list[bytes]:
    """The measures of a model."""
    return [json.dumps({"schema": 2, "run": "a", "updates": 3, "weights": "last", "measures": [MEASURE]}).encode()]


def configuration(place: Path) -> list[bytes]:
    """The settings of a run."""
    return [SMALL.encode()]


RECIPE = resolve([loads(SMALL, "small")])
KINDS = [
    Kind("metrics", "metrics.jsonl", metrics, read_metrics_of, line_texts(UPDATE, ROLLBACK)),
    Kind("metrics-resumed", "metrics.jsonl", metrics, resume_metrics, line_texts(UPDATE, ROLLBACK)),
    Kind(
        "environment",
        "env.json",
        environment,
        read_environment,
        json_texts(json.loads(environment(Path())[0])),
        share=0.05,
    ),
    Kind("evaluation", "evaluation.json", evaluation, scores_in, json_texts(json.loads(evaluation(Path())[0]))),
    Kind("configuration", "config.toml", configuration, settings_in, toml_texts()),
]
