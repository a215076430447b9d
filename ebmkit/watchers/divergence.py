"""The watcher that stops a run that diverges."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from ebmkit.data.examples import Examples
from ebmkit.errors import Diverged, check
from ebmkit.methods.method import Method
from ebmkit.watchers.alarms import AlarmDetector, Scale
from ebmkit.watchers.causes import explained, in_force, remedies
from ebmkit.watchers.scalars import Updates, scalars_of


def stop_if_diverged(
    updates: Updates,
    trainer: Method | None = None,
    examples: Examples | None = None,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    memory: dict[str, list[float]] | None = None,
    *,
    every: int = 1,
    limit: float = 1e8,
    alarm: bool = True,
) -> Updates:
    """Stop the run when it turns, a value is not finite, or a mean energy is too large.

    It turns when the chain's displacement, or two of its other scalars, exceed what is usual for this run; see
    `AlarmDetector`.

    Args:
        every: Check every N-th update; 0 never checks.
        limit: The largest absolute value that a mean energy may have.
        alarm: Whether scalars are also compared with the run's own past.

    Raises:
        UsageError: if a setting is out of range.
        Diverged: with the update, the value, the cause and what to try.
    """
    check("every", every, at_least=0)
    check("limit", limit, above=0)
    detector = AlarmDetector({} if memory is None else memory)

    def watched() -> Updates:
        scale, settings = scale_of(trainer, examples), in_force(config, trainer)
        others = remedies(settings, rates_of(trainer) or ("optimizer",))
        for update in updates:
            if every and update.index % every == 0:
                scalars = scalars_of(update)
                for name, value in scalars.items():
                    if not math.isfinite(value) or ("energy" in name and abs(value) > limit):
                        reason = f"{name} is {value:.3g}; {remedy(scalars, others)}"
                        raise Diverged(f"diverged at update {update.index}: {reason}")
                found = detector.alarm(scalars, scale) if alarm else None
                if found is not None:
                    reason = explained(found, settings or {}, scale.noise, rates_of(trainer))
                    raise Diverged(f"diverged at update {update.index}: {reason}")
            yield update

    return watched()


def remedy(scalars: Mapping[str, float], others: str) -> str:
    """What to try when a value is not finite or too large; `others` if the data are not in doubt."""
    # Chains with finite energies show that the energy is in order, and the batch is not.
    if math.isfinite(scalars.get("fake_energy", math.nan)) and not math.isfinite(scalars["real_energy"]):
        return f"the batch may have values that are not finite: check the data; else {others}"
    return others


def rates_of(trainer: Method | None) -> dict[str, float] | None:
    """The learning rates of the optimisers by name, without their schedule; None without a method."""
    if trainer is None:
        return None
    return {name: float(one.param_groups[0]["initial_lr"]) for name, one in trainer.optimizers.items()}


def scale_of(trainer: Method | None, examples: Examples | None) -> Scale:
    """What the steps of the chain are compared with.

    The data's range is [-1, 1], or wider if the first examples are; its diagonal is `2 sqrt(d) max(1, max |x|)`. The
    noise of a step has length `noise sqrt(d)` if the sampler adds the same noise in every step. A chain whose states
    are decoded runs in another space than that of the data, and is compared with its own past only.
    """
    short = None if trainer is None else trainer.short_run()
    if examples is None or (short is not None and short.decode is not None):
        return Scale()
    some = examples.fetch(torch.arange(min(len(examples), 256)))
    root = math.sqrt(some[0].numel())
    diagonal = 2 * root * max(1.0, float(some.abs().max()))
    sampler = None if short is None else short.sampler
    if sampler is None or sampler.implied_temperature is None or sampler.noise is None:
        return Scale(diagonal)
    return Scale(diagonal, sampler.noise * root, sampler.step_size)
