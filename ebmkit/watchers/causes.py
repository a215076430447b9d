"""What an alarm means: the known cause that fits, and the settings to try, of those that the run has."""

from collections.abc import Iterable, Mapping
from typing import Any

from ebmkit.errors import REMEDIES
from ebmkit.methods.method import Method
from ebmkit.runs.diverging import lower_rate, stronger_penalty
from ebmkit.watchers.alarms import BOUNDS, Alarm

Config = Mapping[str, Mapping[str, Any]]
Rates = Mapping[str, float]

# Below this standard deviation the data have almost no density between the examples, and the energy becomes steep.
LITTLE_NOISE = 0.03


def explained(alarm: Alarm, config: Config, noise: float | None = None, rates: Rates | None = None) -> str:
    """One line about an alarm: what was seen, the cause, and the settings to type.

    Args:
        alarm: The alarm.
        config: The settings of the run by section.
        noise: The length of a step of the chain by its noise only; None if it is not known.
        rates: The learning rates of the run by the section of their optimiser, which rollbacks lower; None for that of
            the settings.
    """
    usual = alarm.seen.get(alarm.name)
    line = f"{alarm.name} is {alarm.value:.3g}"
    if usual is not None:
        line += f", usually {usual.low:.3g} to {usual.high:.3g}"
    if alarm.name == "displacement" and noise:
        line += f", {noise:.3g} by noise only"
    reason, settings = cause(alarm, config, rates)
    return f"{line}: {reason}; try {', '.join(settings)}"


def cause(alarm: Alarm, config: Config, rates: Rates | None = None) -> tuple[str, list[str]]:
    """The known cause that fits an alarm, and the settings to try, the best first."""
    train, known = config.get("train", {}), {"optimizer": config.get("optimizer", {}).get("lr")}
    rises = {name: one.rise for name, one in alarm.seen.items()}
    lower = [
        f"{section}.lr={lower_rate(rate):g}" if isinstance(rate, float) else f"a lower {section}.lr"
        for section, rate in (known if rates is None else rates).items()
    ]
    penalties = [train["gradient_penalty"]] if "gradient_penalty" in train else []
    gentler = [f"train.gradient_penalty={stronger_penalty(penalty):g}" for penalty in penalties]
    noise, penalty = train.get("data_noise"), train.get("energy_l2")
    wider = ["train.data_noise=0.05"] if isinstance(noise, float) and noise < LITTLE_NOISE else []
    if rises.get("energy", 0.0) > BOUNDS["energy"] and rises.get("displacement", 0.0) < BOUNDS["displacement"]:
        bounded = [f"train.energy_l2={10 * penalty or 0.1:g}"] if penalty is not None else []
        return "the energies grow without bound", [*bounded, *lower]
    if wider and alarm.gap > 0:
        return "the data noise is too small for this energy", [*wider, *lower]
    if alarm.name == "displacement":
        chains = "the energy has become steeper than the steps of the chains can follow, which run away"
        return chains, [*gentler, *lower, *wider]
    return "the learning rate is too high", [*lower, *gentler, *wider]


def in_force(config: Config | None, trainer: Method | None) -> Config | None:
    """The settings of a run, with the gradient penalty of now, which a rollback raises."""
    if config is None or trainer is None or trainer.gradient_penalty is None:
        return config
    return {**config, "train": {**config.get("train", {}), "gradient_penalty": trainer.gradient_penalty}}


def remedies(config: Config | None, sections: Iterable[str] = ("optimizer",)) -> str:
    """What to try where values are not finite or too large.

    Args:
        config: The settings of the run by section; None if they are not known.
        sections: The sections of its optimisers.
    """
    if config is None:
        return REMEDIES
    train = config.get("train", {})
    ways = (
        [f"train.gradient_penalty={stronger_penalty(train['gradient_penalty']):g}"]
        if "gradient_penalty" in train
        else []
    )
    ways += [*(f"a lower {section}.lr" for section in sections), "more train.data_noise"]
    ways += [f"train.energy_l2={10 * train['energy_l2'] or 0.1:g}"] if "energy_l2" in train else []
    return f"try {', '.join(ways[:-1])}, or {ways[-1]}"
