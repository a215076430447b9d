"""When a training turns: the scalars of its updates, compared with its own past."""

import math
from collections.abc import Mapping, MutableMapping
from statistics import median
from typing import NamedTuple

# How many times its usual size a quantity must reach; chosen from healthy and diverging runs, see docs/decisions.md.
BOUNDS = {"displacement": 3.0, "end_gradient": 6.0, "gradient_norm": 6.0, "gap": 6.0, "energy": 20.0}
# The displacement suffices, since it hardly fluctuates. Otherwise two must agree.
SUFFICIENT, AGREEING = "displacement", 2
# How many times longer than by noise only the steps of a chain must be. Where a quiet start begins to learn, everything
# rises many times within a few updates, but the steps only to 5 times their noise.
ABOVE_NOISE = 8.0
WARM_UP = 50  # how many values the past must have before others are compared with it
PAST, LAG = 200, 20  # the usual size is that in this many updates, which ended this many updates ago
RECENT = 5  # the present size is the median of this many updates, so that two outliers do not count
LOW, HIGH = 0.1, 0.9  # the quantiles of the usual range


class Scale(NamedTuple):
    """The lengths that a step of the chain is compared with, in units of x.

    Attributes:
        diagonal: The longest plausible step: the diagonal of the data's range.
        noise: The length of a step by its noise only; None if it is not known.
        step_size: The factor of the gradient in a step; None if it is not one value.
    """

    diagonal: float = math.inf
    noise: float | None = None
    step_size: float | None = None

    def above_noise(self, scalars: Mapping[str, float]) -> bool:
        """Whether steps, or their drifts before any clipping, are much longer than by noise only; true if unknown."""
        drift = (self.step_size or 0.0) * scalars.get("end_gradient", 0.0)
        return self.noise is None or max(drift, scalars.get("displacement", 0.0)) > ABOVE_NOISE * self.noise


UNKNOWN = Scale()


class Seen(NamedTuple):
    """A quantity at an update.

    Attributes:
        now: Its present size, the median of the last updates.
        low: The lower end of its usual range.
        high: The upper end; its usual size.
    """

    now: float
    low: float
    high: float

    @property
    def rise(self) -> float:
        """The present size as a multiple of the usual size."""
        return self.now / self.high if self.high > 0 else math.inf if self.now > 0 else 1.0


class Alarm(NamedTuple):
    """What was seen when a training turned.

    Attributes:
        name: The quantity that set off the alarm: one of `BOUNDS`.
        seen: Every quantity by name; empty if the past is too short to compare with.
        value: The present size of that quantity.
        gap: The gap of this update, with its sign; NaN if the method compares no energies.
    """

    name: str
    seen: Mapping[str, Seen]
    value: float
    gap: float


class AlarmDetector:
    """Compares the scalars of each update with those of the run's own past.

    The present size of a quantity is the median of 5 updates, its usual size the 0.9-quantile of the 200 updates that
    ended 20 updates ago. The alarm is set off by a displacement of 3 times its usual size, or by two of these:
    `end_gradient`, `gradient_norm` or `|gap|` of 6 times, energies of 20 times their usual size; provided that the
    steps of the chain are 8 times longer than by noise only. If that length is unknown, the displacement does not
    suffice, but counts as one of two. What doubles within 15 updates is thus an alarm, the slow growth of a healthy
    training is not. Only after 50 updates is there a past to compare with; before, but not in the first 20 updates, in
    which a steep energy may calm down, a mean step that is longer than the diagonal of the data's range is an alarm.

    Args:
        past: The sizes of the past by name, oldest first, which the detector extends and shortens in place. A resumed
            run with the same past sets off the same alarms.
    """

    def __init__(self, past: MutableMapping[str, list[float]]) -> None:
        self.past = past

    def alarm(self, scalars: Mapping[str, float], scale: Scale = UNKNOWN) -> Alarm | None:
        """The alarm that the scalars of one more update set off; None if there is none.

        Args:
            scalars: The scalars of an update by name, all finite; see `ebmkit.methods.Update.scalars`.
            scale: What the steps of the chain are compared with.
        """
        for name, size in sizes(scalars).items():
            series = self.past.setdefault(name, [])
            series.append(size)
            del series[: -(PAST + LAG)]
        seen = {name: compared(self.past[name]) for name in BOUNDS if len(self.past.get(name, ())) > WARM_UP}
        over = [name for name, one in seen.items() if one.rise > BOUNDS[name]]
        gap = scalars.get("gap", math.nan)
        enough = len(over) >= AGREEING or (SUFFICIENT in over and scale.noise is not None)
        if enough and scale.above_noise(scalars):
            return Alarm(over[0], seen, seen[over[0]].now, gap)
        lengths = self.past.get(SUFFICIENT, [])
        present = median(lengths[-RECENT:]) if len(lengths) > LAG else 0.0
        return Alarm(SUFFICIENT, seen, present, gap) if present > scale.diagonal else None


def sizes(scalars: Mapping[str, float]) -> dict[str, float]:
    """The sizes of the compared quantities by name; `energy` is that of the larger mean energy."""
    found = {name: abs(scalars[name]) for name in BOUNDS if name in scalars}
    energies = [abs(scalars[name]) for name in ("real_energy", "fake_energy") if name in scalars]
    return {**found, "energy": max(energies)} if energies else found


def compared(series: list[float]) -> Seen:
    """The present size of a quantity and its usual range, from a series that is longer than LAG."""
    usual = sorted(series[:-LAG])
    low, high = (usual[int(share * (len(usual) - 1))] for share in (LOW, HIGH))
    return Seen(median(series[-RECENT:]), low, high)
