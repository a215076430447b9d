"""A run's folder as a model to draw from."""

from pathlib import Path
from typing import Literal, get_args

from torch import nn

from ebmkit.config import Layer, Value
from ebmkit.errors import UsageError, nearest
from ebmkit.run import Run, reopen
from ebmkit.shortrun import ShortRun

Weights = Literal["auto", "average", "last"]
WEIGHTS = get_args(Weights)


def load(place: str | Path, *, weights: Weights = "auto", device: str | None = None) -> ShortRun:
    """The model of a run: its energy, its sampler, and where its chains start.

    Args:
        place: The run's folder.
        weights: The moving average of the weights or the last ones; auto takes the average where the run kept one.
        device: Where to compute; none is the run's own setting.

    Raises:
        UsageError: if the folder is no run, has no checkpoint, or has no average that was asked for.
    """
    return model(opened(place, device), weights)


def opened(place: str | Path, device: str | None = None) -> Run:
    """The run of a folder with its data, as its checkpoint left it, to look at."""
    changes = Layer("command line")
    if device is not None:
        changes.put("train", "device", Value(device, "--device", device))
    return reopen(Path(place), changes)


def model(run: Run, weights: Weights = "auto") -> ShortRun:
    """The model of a run that is open.

    Raises:
        UsageError: for unknown weights, weights that are not finite, or an average that the run has not.
    """
    energy, _ = network(run, weights)
    if not all(bool(parameter.isfinite().all()) for parameter in energy.parameters()):
        raise UsageError(f"the weights in {run.folder} are not finite: nothing can be drawn from them")
    energy.requires_grad_(False)
    # A stand-in of its own: the trainer's takes up other weights with each of its chains.
    return ShortRun(run.choice.accelerated(energy), run.trainer.sampler, run.trainer.init)


def network(run: Run, weights: Weights = "auto") -> tuple[nn.Module, Weights]:
    """The energy with these weights, and which they are: the average or the last.

    Raises:
        UsageError: for unknown weights, or an average that the run has not.
    """
    if weights not in WEIGHTS:
        raise UsageError(f"weights must be {' or '.join(WEIGHTS)}, not '{weights}'.{nearest(weights, WEIGHTS)}")
    averaged = run.trainer.averaged is not None
    if weights == "average" and not averaged:
        raise UsageError(
            f"{run.folder} kept no average of its weights; write last or auto, or train with train.average"
        )
    if averaged and weights != "last":
        return run.trainer.model, "average"
    return run.trainer.energy, "last"
