"""What an alarm means: the known cause that fits, and the settings to try."""

from collections.abc import Mapping
from typing import Any

from ebmkit.runs.diverging import lower_rate, stronger_penalty
from ebmkit.watchers.alarms import BOUNDS, Alarm

# Below this standard deviation the data have almost no density between the examples, and the energy becomes steep.
LITTLE_NOISE = 0.03


def explained(
    alarm: Alarm, config: Mapping[str, Mapping[str, Any]], noise: float | None = None, rate: float | None = None
) -> str:
    """One line about an alarm: what was seen, the cause, and the settings to type.

    Args:
        alarm: The alarm.
        config: The settings of the run by section.
        noise: The length of a step of the chain by its noise only; None if it is not known.
        rate: The learning rate of the run, which rollbacks lower; None for that of the settings.
    """
    usual = alarm.seen.get(alarm.name)
    line = f"{alarm.name} is {alarm.value:.3g}"
    if usual is not None:
        line += f", usually {usual.low:.3g} to {usual.high:.3g}"
    if alarm.name == "displacement" and noise:
        line += f", {noise:.3g} by noise only"
    reason, settings = cause(alarm, config, rate)
    return f"{line}: {reason}; try {', '.join(settings)}"


def cause(alarm: Alarm, config: Mapping[str, Mapping[str, Any]], rate: float | None = None) -> tuple[str, list[str]]:
    """The known cause that fits an alarm, and the settings to try, the best first."""
    train, asked = config.get("train", {}), config.get("optimizer", {}).get("lr")
    rate = asked if rate is None else rate
    rises = {name: one.rise for name, one in alarm.seen.items()}
    lower = f"optimizer.lr={lower_rate(rate):g}" if isinstance(rate, float) else "a lower optimizer.lr"
    gentler = f"train.gradient_penalty={stronger_penalty(train.get('gradient_penalty')):g}"
    noise, penalty = train.get("data_noise"), train.get("energy_l2")
    wider = ["train.data_noise=0.05"] if isinstance(noise, float) and noise < LITTLE_NOISE else []
    if rises.get("energy", 0.0) > BOUNDS["energy"] and rises.get("displacement", 0.0) < BOUNDS["displacement"]:
        bounded = "train.energy_l2=0.1" if not penalty else f"train.energy_l2={10 * penalty:g}"
        return "the energies grow without bound", [bounded, lower]
    if wider and alarm.gap > 0:
        return "the data noise is too small for this energy", [*wider, lower]
    if alarm.name == "displacement":
        chains = "the energy has become steeper than the steps of the chains can follow, which run away"
        return chains, [gentler, lower, *wider]
    return "the learning rate is too high", [lower, gentler, *wider]
