"""The sections of figures and texts: each gives HTML, or raises UsageError with the reason why it does not apply."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

from torch import Tensor

from ebmkit.errors import UsageError
from ebmkit.evaluation.analysis import energies, moments
from ebmkit.evaluation.training_curves import correlations
from ebmkit.report.figures import band, curves, histograms, scatter
from ebmkit.report.layout import paragraph, plots, table
from ebmkit.report.subject import Subject


def training(subject: Subject) -> str:
    """Figures over the updates, and how gap and gradient hang together."""
    past = subject.past
    wanted: dict[str, dict[str, str]] = {
        "Energy gap": {"gap": "gap", "loss": "loss"},
        "Mean energies": {"real_energy": "data", "fake_energy": "samples"},
        "Norm of the loss's gradient": {"gradient_norm": "gradient"},
        "Norm of the chain's gradient": {"start_gradient": "first step", "end_gradient": "last step"},
        "Mean length of a step of the chain": {"displacement": "step", "noise_size": "noise alone"},
        "Share of accepted proposals": {"accepted": "accepted"},
    }
    drawn = []
    for title, names in wanted.items():
        series = {name: past[key] for key, name in names.items() if key in past}
        if title == "Energy gap" and "loss" in series and bool((series["loss"] == series["gap"]).all()):
            del series["loss"]
        if series:
            drawn.append(curves(past["step"], series, title=title, zero=title == "Energy gap"))
    said = (
        "Near a fixed point the gap moves about 0; its size is no measure of quality. "
        "A curve of many updates is a mean in a band of all values."
    )
    return paragraph(said) + plots(*drawn, *correlation_plots(past))


def correlation_plots(past: Mapping[str, Tensor]) -> list[str]:
    """Auto- and cross-correlation over training; none where the history is too short or has no gradients."""
    try:
        found = correlations(past)
    except UsageError:
        return []
    own = {"gap": found.gap, "gradient": found.gradient}
    lags = found.lags[len(found.lags) // 2 :]
    return [
        curves(lags, own, title="Autocorrelation", x="lag", zero=True),
        curves(found.lags, {"cross": found.cross}, title="Gap with later gradient", x="lag", zero=True),
    ]


def energy(subject: Subject) -> str:
    """The energy on the way of the chain, and on data, samples and starts."""
    values = {
        "data": energies(subject.short.energy, subject.real.to(subject.device)),
        "samples": energies(subject.short.energy, subject.samples),
        "starts": energies(subject.short.energy, subject.starts),
    }
    if not any(bool(value.isfinite().any()) for value in values.values()):
        raise UsageError("No energy is a finite number: the model has diverged.")
    return paragraph("Low energy is likely; only differences mean something.") + plots(
        band(subject.along.mean, subject.along.sd, title="Energy along the chain", x="step of the chain"),
        histograms(values, title="Energies", x="E"),
    )


def moment_matching(subject: Subject) -> str:
    """The paper's fixed point: features have the same mean under data and under the model."""
    found = moments(subject.short.energy, subject.real.to(subject.device), subject.samples)
    sizes = f"{len(subject.real):,} examples, {len(subject.samples):,} samples"
    said = (
        f"At a fixed point of the training, the mean of each of the {len(found.data):,} features of the last hidden "
        f"layer is the same for data and for samples. Relative distance {found.distance:.3g}; "
        f"sampling alone would show {found.noise:.3g} ({sizes}). Correlation {found.correlation:.4f}."
    )
    drawn = scatter(
        found.data,
        found.model,
        title="Generalised moment matching",
        x="mean over data",
        y="mean over samples",
        alt=f"Means of features over samples against those over data: correlation {found.correlation:.3f}.",
    )
    return paragraph(said) + plots(drawn)


def measures(subject: Subject) -> str:
    """Measures that were computed elsewhere."""
    if not subject.scores:
        raise UsageError("No evaluation measures were given to this page.")
    scores = {name: value if isinstance(value, str) else f"{value:.5g}" for name, value in subject.scores.items()}
    return table(scores, "Measure", "Value")


def configuration(subject: Subject) -> str:
    """The run's settings, word for word."""
    return f"<pre>{escape(text_of(subject.folder / 'config.toml'))}</pre>"


def provenance(subject: Subject) -> str:
    """What the run was made with: the versions as a table, and everything word for word."""
    text = text_of(subject.folder / "env.json")
    try:
        versions = json.loads(text)["versions"]
        known = table({str(name): str(version) for name, version in versions.items()}, "Package", "Version")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("env.json has no versions: expected what `ebmkit train` writes.") from None
    return f"{known}<details><summary>All of env.json</summary><pre>{escape(text)}</pre></details>"


def text_of(path: Path) -> str:
    """The text of a file of the run.

    Raises:
        UsageError: if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}.") from None
