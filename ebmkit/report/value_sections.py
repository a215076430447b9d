"""The sections of values and text: each returns HTML, or raises UsageError with the reason why it does not apply."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.evaluation.energy import energies
from ebmkit.evaluation.moments import feature_means
from ebmkit.evaluation.training_curves import correlations, read_events
from ebmkit.files import json_of
from ebmkit.report.context import ReportContext
from ebmkit.report.figures import band, curves, histograms, scatter
from ebmkit.report.layout import paragraph, plots, table

# The plots of a training: a title, and the names of its curves in metrics.jsonl and in the legend.
PLOTS: Mapping[str, Mapping[str, str]] = {
    "Energy gap": {"gap": "gap", "loss": "loss"},
    "Mean energies": {"real_energy": "data", "fake_energy": "samples"},
    "Norm of the loss's gradient": {"gradient_norm": "gradient"},
    "Norm of the chain's gradient": {"start_gradient": "first step", "end_gradient": "last step"},
    "Mean length of a step of the chain": {"displacement": "step", "noise_size": "noise only"},
    "Fraction of accepted proposals": {"accepted": "accepted"},
}


def training(context: ReportContext) -> str:
    """The values of the updates, and the correlations of gap and gradient."""
    metrics = context.metrics
    drawn = []
    for title, names in PLOTS.items():
        series = {name: metrics[key] for key, name in names.items() if key in metrics}
        if {"loss", "gap"} <= set(series) and bool((series["loss"] == series["gap"]).all()):
            del series["loss"]
        if series:
            title = title if title != "Energy gap" or "gap" in series else "Loss"
            drawn.append(curves(metrics["update"], series, title=title, zero=title == "Energy gap"))
    named = {
        "update",
        "seconds_per_update",
        "gradient_scale",
        "nonfinite",
        *(key for one in PLOTS.values() for key in one),
    }
    drawn += [
        curves(metrics["update"], {name: series}, title=name) for name, series in metrics.items() if name not in named
    ]
    text = "For many updates a curve shows means, with a band from the lowest to the highest value."
    if "gap" in metrics:
        text = f"Near a fixed point the gap fluctuates about 0; its size does not measure quality. {text}"
    events = "".join(paragraph(happened(event)) for event in read_events(context.folder))
    return paragraph(text) + events + plots(*drawn, *correlation_plots(metrics))


def happened(event: Mapping[str, Any]) -> str:
    """An event of the training, as text."""
    index, penalty = event.get("update"), event.get("gradient_penalty")
    if event["event"] == "resumed":
        return f"Resumed from update {index}."
    reason = str(event.get("reason", event["event"])).replace(f"diverged at update {index}:", "diverged:", 1)
    if event["event"] != "rollback":
        return f"Update {index}: {reason}."
    stronger = "" if penalty is None else f" and gradient penalty {penalty}"  # None for a method without one
    back = f"rolled back to update {event.get('to_update')}, with learning rate {event.get('lr')}{stronger}"
    return f"Update {index}: {reason}; {back}."


def correlation_plots(metrics: Mapping[str, Tensor]) -> list[str]:
    """Auto- and cross-correlation over training; none if there are too few updates, or no gradients."""
    try:
        found = correlations(metrics)
    except UsageError:
        return []
    own = {"gap": found.gap, "gradient": found.gradient}
    lags = found.lags[len(found.lags) // 2 :]
    return [
        curves(lags, own, title="Autocorrelation", x="lag", zero=True),
        curves(found.lags, {"cross": found.cross}, title="Gap with later gradient", x="lag", zero=True),
    ]


def energy(context: ReportContext) -> str:
    """The energy along the chains, and of data, samples and starts."""
    along = band(context.along.mean, context.along.sd, title="Energy along the chain", x="step of the chain")
    if context.short.decode is not None:
        text = "The energy is one of the states of the chain, which are decoded; examples have no energy of their own."
        return paragraph(text) + plots(along)
    values = {
        "data": energies(context.short.energy, context.real.to(context.device)),
        "samples": energies(context.short.energy, context.samples),
        "starts": energies(context.short.energy, context.starts),
    }
    if not any(bool(value.isfinite().any()) for value in values.values()):
        raise UsageError("No energy is finite: the model has diverged.")
    return paragraph("Low energy is likely; only differences of energies have a meaning.") + plots(
        along,
        histograms(values, title="Energies", x="E"),
    )


def moment_matching(context: ReportContext) -> str:
    """The fixed point of the training: features have the same means under the data and under the model."""
    if context.short.decode is not None:
        raise UsageError("Moments match at a fixed point of an energy of examples; this one is of states.")
    found = feature_means(context.short.energy, context.real.to(context.device), context.samples)
    sizes = f"{len(context.real):,} examples, {len(context.samples):,} samples"
    text = (
        f"At a fixed point of the training, the mean of each of the {len(found.data):,} features of the last hidden "
        f"layer is the same for data and for samples. Relative distance {found.distance:.3g}; expected from sampling "
        f"noise only: {found.noise:.3g} ({sizes}). Correlation {found.correlation:.4f}."
    )
    drawn = scatter(
        found.data,
        found.model,
        title="Generalised moment matching",
        x="mean over data",
        y="mean over samples",
        alt=f"Means of features over samples against those over data: correlation {found.correlation:.3f}.",
    )
    return paragraph(text) + plots(drawn)


def measures(context: ReportContext) -> str:
    """Measures that were computed elsewhere."""
    if not context.scores:
        raise UsageError("No evaluation measures were passed to this report.")
    scores = {name: value if isinstance(value, str) else f"{value:.5g}" for name, value in context.scores.items()}
    return table(scores, "Measure", "Value")


def configuration(context: ReportContext) -> str:
    """The settings of the run, verbatim."""
    return f"<pre>{escape(text_of(context.folder / 'config.toml'))}</pre>"


def provenance(context: ReportContext) -> str:
    """The environment of the run: the versions as a table, and everything verbatim."""
    text = text_of(context.folder / "env.json")
    try:
        versions = json_of(text)["versions"]
        known = table({str(name): str(version) for name, version in versions.items()}, "Package", "Version")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("env.json has no versions: expected the file that `ebmkit train` writes.") from None
    return f"{known}<details><summary>All of env.json</summary><pre>{escape(text)}</pre></details>"


def text_of(path: Path) -> str:
    """The text of a file of the run.

    Raises:
        UsageError: if it cannot be read, or is a link: a report is passed on, and what it shows is of the run.
    """
    if path.is_symlink():
        raise UsageError(f"{path.name} is a link to another file, which is not shown.")
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}.") from None
