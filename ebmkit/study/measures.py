"""The measures that a study can show, by short names."""

from collections.abc import Sequence
from dataclasses import dataclass

from ebmkit.errors import UsageError, nearest

DEFAULT = ("frechet", "precision", "recall", "energy-distance")


@dataclass(frozen=True)
class Kind:
    """A measure as a study shows it.

    Attributes:
        names: How its name begins in an evaluation.
        title: The heading of its column.
        better: Which values are better: `lower`, `higher`, or `real`: those near that of real examples.
    """

    names: tuple[str, ...]
    title: str
    better: str


KINDS = {
    "frechet": Kind(("Fréchet distance", "FID"), "Fréchet distance", "lower"),
    "kernel": Kind(("Kernel distance", "KID"), "Kernel distance", "lower"),
    "precision": Kind(("Precision",), "Precision", "higher"),
    "recall": Kind(("Recall",), "Recall", "higher"),
    "score": Kind(("Classifier score", "Inception score"), "Classifier score", "higher"),
    "mmd": Kind(("MMD²",), "MMD²", "lower"),
    "energy-distance": Kind(("Energy distance",), "Energy distance", "lower"),
    "diversity": Kind(("Diversity",), "Diversity", "real"),
}


def chosen_measures(names: Sequence[str]) -> tuple[str, ...]:
    """The names of measures, checked.

    Raises:
        UsageError: for an unknown name, with the nearest, or if there is none.
    """
    for name in names:
        if not isinstance(name, str) or name not in KINDS:
            raise UsageError(f"unknown measure '{name}'.{nearest(str(name), KINDS)} Measures: {', '.join(KINDS)}")
    if not names:
        raise UsageError(f"a study shows at least one measure, like precision. Measures: {', '.join(KINDS)}")
    return tuple(dict.fromkeys(names))


def kind_of(name: str) -> str:
    """The short name of a measure of an evaluation; empty if a study does not know it.

    >>> kind_of("Fréchet distance (features=digits)"), kind_of("FID")
    ('frechet', 'frechet')
    """
    return next((short for short, kind in KINDS.items() if name.startswith(kind.names)), "")
