"""Measures of samples against data. Each value comes with two others that give it a scale.

The data are split into two disjoint halves of n examples. Each measure compares the first half with the samples, with
the second half, which is the best value to expect, and with noise, like the starts of new chains, which is the worst.
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
from ebmkit.evaluation.rows import finite_rows
from ebmkit.evaluation.scores import inception_score
from ebmkit.features.protocols import Classifier, Features
from ebmkit.shortrun import ShortRun

CHUNK = 64  # how many examples the features are computed for at once
LEAST = 20  # each of the ten subsets of the kernel distance needs two rows

# Names that are used only with the features of the 2015 Inception network.
OFFICIAL = {"Fréchet distance": "FID", "Kernel distance": "KID", "Classifier score": "Inception score"}


@dataclass(frozen=True)
class Measure:
    """One value, its scale, and everything needed to reproduce it.

    Attributes:
        name: What was measured, and on which features.
        value: The value for the samples; None if n is too small, as `note` then says.
        error: Standard error of the value; None if it is unknown.
        real_against_real: The value for real examples in place of samples.
        noise_against_real: The value for noise, like the starts of new chains, in place of samples.
        n: The number of samples, and of real examples in each half.
        features: Name of the features; "pixels" if the examples themselves are compared.
        seed: Seed of the choice of real examples.
        preprocessing: What is done to the examples before the features are computed.
        note: A warning for the reader; empty if there is none.
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
    """Four sets of n rows: the half that all others are compared with, the other half, the samples, the starts."""

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
    """Every measure of n samples: first those on the features, then those on the examples themselves.

    Args:
        sample: Maps n to samples `(n, *shape)`; everything is computed on their device.
        noise: Maps n to noise `(n, *shape)`, such as the starts of new chains.
        examples: The data.
        features: What is compared.
        n: The number of samples, from 20 to half the number of examples.
        seed: Seed of the choice of real examples, and of the subsets of the kernel distance.

    Raises:
        UsageError: if n is out of range, or samples are not finite or have another shape than the data.
    """
    check_count(examples, n)
    check("seed", seed, at_least=0, below=2**63)
    rng = Generator().manual_seed(seed)
    first, second = torch.randperm(len(examples), generator=rng)[: 2 * n].chunk(2)
    fake = _checked("the samples", sample(n), n, examples)
    start = _checked("the noise", noise(n), n, examples).to(fake.device)
    pixels = Compared(examples.fetch(first).to(fake.device), examples.fetch(second).to(fake.device), fake, start)
    found = Compared(*(extract_features(features, x) for x in pixels))
    blank = Measure("", None, None, None, None, n, features.name, seed, features.preprocessing)
    measures = [*_of_features(found, blank)]
    if isinstance(features, Classifier):
        scores = [inception_score(_in_chunks(features.probabilities, x)) for x in pixels[1:]]
        measures.append(_measure(blank, "Classifier score", scores))
    plain = replace(blank, features="pixels", preprocessing="none")
    for name, metric in (("MMD²", mmd), ("Energy distance", energy_distance), ("Diversity", diversity)):
        measures.append(_measure(plain, name, [metric(pixels.reference, x) for x in pixels[1:]]))
    return measures


def check_count(examples: Examples, n: int) -> None:
    """Refuse a number of samples that cannot be compared with two disjoint halves of the data.

    Raises:
        UsageError: if n is not from 20 to half the number of examples, or there are too few examples for any n.
    """
    most = len(examples) // 2
    if most < LEAST:
        raise UsageError(f"the data have {len(examples)} examples, but an evaluation needs at least {2 * LEAST}")
    if not LEAST <= n <= most:
        raise UsageError(f"n must be from {LEAST} to {most}, half of the {len(examples)} examples, not {n}")


def evaluate_model(
    short: ShortRun,
    examples: Examples,
    features: Features,
    rng: Generator,
    *,
    n: int,
    seed: int = 0,
    batch: int = 64,
    samples: Tensor | None = None,
) -> list[Measure]:
    """Every measure of n samples of a model; see `evaluate`.

    The noise is the starts of new chains: of a replay buffer its base distribution, and where chains start from the
    data, uniform noise.

    Args:
        short: The model.
        examples: The data.
        features: What is compared.
        rng: Randomness of the samples and of the noise.
        n: The number of samples, from 20 to half the number of examples.
        seed: Seed of the choice of real examples, and of the subsets of the kernel distance.
        batch: How many chains run at once.
        samples: Samples of the model that were drawn before, `(n, *shape)`; None draws them.

    Raises:
        UsageError: if n is out of range, or samples are not finite.
    """
    return evaluate(
        lambda n: short.sample(n, rng, batch=batch) if samples is None else samples,
        lambda n: torch.cat([short.decoded(z) for z in short.init.noise_distribution().in_batches(n, rng, batch)]),
        examples,
        features,
        n=n,
        seed=seed,
    )


def _of_features(x: Compared, blank: Measure) -> Iterator[Measure]:
    """The measures on four sets of features `(n, d)`."""
    n, d = x.reference.shape
    if too_few(n, d):
        note = f"n={n} is too few for {d} features; use n of at least {d + 1}, or features of fewer dimensions"
        yield replace(blank, name=measure_name("Fréchet distance", blank.features), note=note)
    else:
        distances = [frechet_distance(x.reference, other) for other in x[1:]]
        yield replace(_measure(blank, "Fréchet distance", distances), note=frechet_note(n, d))
    # The same subsets each time: the three values then differ only by what is compared.
    kernels = [kernel_distance(x.reference, other, Generator().manual_seed(blank.seed)) for other in x[1:]]
    _, of_samples, _ = kernels
    yield replace(_measure(blank, "Kernel distance", [one.value for one in kernels]), error=of_samples.error)
    pairs = [precision_recall(x.reference, other) for other in x[1:]]
    yield _measure(blank, "Precision", [one.precision for one in pairs])
    yield _measure(blank, "Recall", [one.recall for one in pairs])


def _measure(blank: Measure, name: str, values: list[float]) -> Measure:
    """A measure from its values for the other half, the samples and the starts."""
    real, value, noise = values
    name = measure_name(name, blank.features)
    return replace(blank, name=name, value=value, real_against_real=real, noise_against_real=noise)


def measure_name(name: str, features: str) -> str:
    """The name of a measure on these features; only with those of the 2015 Inception network it is FID, KID, ...

    >>> measure_name("Fréchet distance", "inception"), measure_name("Fréchet distance", "digits")
    ('FID', 'Fréchet distance (features=digits)')
    """
    if features == "inception" and name in OFFICIAL:
        return OFFICIAL[name]
    return f"{name} (features={features})"


def extract_features(features: Features, x: Tensor) -> Tensor:
    """Features `(n, d)` of examples `(n, *shape)`, computed in chunks.

    Raises:
        ValueError: if they have another shape.
    """
    found = _in_chunks(features, x)
    if found.shape != (len(x), features.d):
        raise ValueError(f"features {features.name} returned {tuple(found.shape)}, expected ({len(x)}, {features.d})")
    return found


def as_rows(measures: list[Measure]) -> list[dict[str, Any]]:
    """The measures as plain dicts for JSON: values that are not finite become None."""
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
    finite_rows(name, x)
    return x.detach().float()
