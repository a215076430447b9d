"""Samples measured against data. Every figure comes with two others that give it a scale.

The data is cut into two disjoint halves of n. Each measure compares the first half with the samples, with the second
half, which is as good as it gets, and with the chain's starting points, which is as bad.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, check
from ebmkit.evaluation.frechet import frechet_distance, frechet_note, too_few
from ebmkit.evaluation.kernels import diversity, energy_distance, kernel_distance, mmd
from ebmkit.evaluation.neighbours import precision_recall
from ebmkit.evaluation.rows import rows
from ebmkit.evaluation.scores import inception_score
from ebmkit.features.protocols import Classifier, Features
from ebmkit.shortrun import ShortRun

CHUNK = 64  # examples that features are found of at once
LEAST = 20  # so that each of the ten subsets of the kernel distance has two

# Names that belong to the features of the 2015 Inception network alone.
OFFICIAL = {"Fréchet distance": "FID", "Kernel distance": "KID", "Classifier score": "Inception score"}


@dataclass(frozen=True)
class Measure:
    """One figure, its scale, and everything needed to find it again.

    Attributes:
        name: What was measured, and on which features.
        value: Of the samples; none where n is too small for it, which `note` says.
        error: Standard error of the value, where one is known.
        real_against_real: The same figure for real examples in the place of samples.
        noise_against_real: The same figure for the chain's starting points in the place of samples.
        n: How many samples, and how many real examples in either half.
        features: Name of the features; "pixels" for what is measured on the examples themselves.
        seed: Seed of the choice of real examples.
        preprocessing: What was done to the examples before the features.
        note: What a reader must know; empty where nothing.
    """

    name: str
    value: float | None
    error: float | None
    real_against_real: float | None
    noise_against_real: float | None
    n: int
    features: str
    seed: int
    preprocessing: str
    note: str = ""


class Compared(NamedTuple):
    """The four sets of n rows each: the half that all are compared with, the other half, samples, starting points."""

    reference: Tensor
    real: Tensor
    fake: Tensor
    noise: Tensor


def evaluate(
    sample: Callable[[int], Tensor],
    noise: Callable[[int], Tensor],
    examples: Examples,
    features: Features,
    *,
    n: int,
    seed: int = 0,
) -> list[Measure]:
    """Every measure of n samples, on the features first, then on the examples themselves.

    Args:
        sample: `n` to samples `(n, *shape)`; everything is computed on their device.
        noise: `n` to starting points `(n, *shape)` of the chain.
        examples: The data.
        features: What is compared.
        n: How many samples; the data must have twice as many examples.
        seed: Seed of the choice of real examples, and of the subsets of the kernel distance.

    Raises:
        UsageError: if n is out of range, or samples are not finite.
    """
    most = len(examples) // 2
    if most < LEAST:
        raise UsageError(f"the data has {len(examples)} examples: an evaluation needs at least {2 * LEAST}")
    if not LEAST <= n <= most:
        raise UsageError(f"n must be from {LEAST} to {most}, half of the data's {len(examples)} examples, not {n}")
    check("seed", seed, at_least=0, below=2**63)
    rng = Generator().manual_seed(seed)
    first, second = torch.randperm(len(examples), generator=rng)[: 2 * n].chunk(2)
    fake = _checked("the samples", sample(n), n, examples)
    start = _checked("the noise", noise(n), n, examples).to(fake.device)
    pixels = Compared(examples.fetch(first).to(fake.device), examples.fetch(second).to(fake.device), fake, start)
    found = Compared(*(extract(features, x) for x in pixels))
    blank = Measure("", None, None, None, None, n, features.name, seed, features.preprocessing)
    measures = [*_of_features(found, blank)]
    if isinstance(features, Classifier):
        scores = [inception_score(_in_chunks(features.probabilities, x)) for x in pixels[1:]]
        measures.append(_measure(blank, "Classifier score", scores))
    plain = replace(blank, features="pixels", preprocessing="none")
    for name, metric in (("MMD²", mmd), ("Energy distance", energy_distance), ("Diversity", diversity)):
        measures.append(_measure(plain, name, [metric(pixels.reference, x) for x in pixels[1:]]))
    return measures


def evaluate_model(
    short: ShortRun, examples: Examples, features: Features, rng: Generator, *, n: int, seed: int = 0, batch: int = 64
) -> list[Measure]:
    """Every measure of n samples of a model; see `evaluate`.

    Args:
        short: The model.
        examples: The data.
        features: What is compared.
        rng: Randomness of samples and starting points.
        n: How many samples.
        seed: Seed of the choice of real examples.
        batch: How many chains run at once.
    """
    return evaluate(
        lambda n: short.sample(n, rng, batch=batch),
        lambda n: torch.cat(list(short.init.in_batches(n, rng, batch))),
        examples,
        features,
        n=n,
        seed=seed,
    )


def _of_features(x: Compared, blank: Measure) -> Iterator[Measure]:
    """The measures of four sets of features `(n, d)`."""
    n, d = x.reference.shape
    if too_few(n, d):
        note = f"n={n} is too few for {d} features: take n of at least {d + 1}, or features of fewer numbers"
        yield replace(blank, name=called("Fréchet distance", blank.features), note=note)
    else:
        distances = [frechet_distance(x.reference, other) for other in x[1:]]
        yield replace(_measure(blank, "Fréchet distance", distances), note=frechet_note(n, d))
    # The same subsets each time, so that the three figures differ by what is compared alone.
    kernels = [kernel_distance(x.reference, other, Generator().manual_seed(blank.seed)) for other in x[1:]]
    _, of_samples, _ = kernels
    yield replace(_measure(blank, "Kernel distance", [one.value for one in kernels]), error=of_samples.error)
    pairs = [precision_recall(x.reference, other) for other in x[1:]]
    yield _measure(blank, "Precision", [one.precision for one in pairs])
    yield _measure(blank, "Recall", [one.recall for one in pairs])


def _measure(blank: Measure, name: str, figures: list[float]) -> Measure:
    """A measure from its figures for the other half, the samples and the starting points."""
    real, value, noise = figures
    name = called(name, blank.features)
    return replace(blank, name=name, value=value, real_against_real=real, noise_against_real=noise)


def called(name: str, features: str) -> str:
    """What a measure on these features is called: only those of the 2015 Inception network have names of their own.

    >>> called("Fréchet distance", "inception"), called("Fréchet distance", "digits")
    ('FID', 'Fréchet distance (features=digits)')
    """
    if features == "inception" and name in OFFICIAL:
        return OFFICIAL[name]
    return f"{name} (features={features})"


def extract(features: Features, x: Tensor) -> Tensor:
    """Features `(n, d)` of examples `(n, *shape)`, found in chunks.

    Raises:
        ValueError: if they are of another shape.
    """
    found = _in_chunks(features, x)
    if found.shape != (len(x), features.d):
        raise ValueError(f"features {features.name} gave {tuple(found.shape)}, expected ({len(x)}, {features.d})")
    return found


def as_rows(measures: list[Measure]) -> list[dict[str, Any]]:
    """The measures as plain dicts that JSON can write: a figure that is not finite becomes none."""
    return [
        {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(measure).items()
        }
        for measure in measures
    ]


def _in_chunks(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.cat([function(chunk).detach() for chunk in x.split(CHUNK)])  # type: ignore[no-untyped-call]


def _checked(name: str, x: Tensor, n: int, examples: Examples) -> Tensor:
    if tuple(x.shape) != (n, *examples.shape):
        raise UsageError(f"{name} have shape {tuple(x.shape)}, expected {(n, *examples.shape)} like the data")
    rows(name, x)
    return x.detach().float()
