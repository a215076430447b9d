"""The sections that show examples: each gives HTML, or raises UsageError with the reason why it does not apply."""

import torch
from einops import rearrange
from torch import Tensor

from ebmkit.evaluation.analysis import convergence, energies, neighbours
from ebmkit.evaluation.diagnostics import SHORTEST
from ebmkit.report.figures import curves
from ebmkit.report.layout import gallery, paragraph, picture, plots, strip
from ebmkit.report.subject import Subject, some

TIMES = 10  # how many times longer than the model's the long chains are
COLUMNS = 8  # of a grid of samples, and of a way from one start to another


def samples(subject: Subject) -> str:
    """Samples beside real examples."""
    subject.need_pictures()
    return gallery(
        picture(subject.real, COLUMNS, "Real examples, drawn at random"),
        picture(subject.samples, COLUMNS, "Samples: ends of the model's chains, none left out"),
    )


def noise_to_image(subject: Subject) -> str:
    """The chain as a generator: where it starts, three looks on the way, and where it ends."""
    subject.need_pictures()
    at = sorted({round(subject.steps * quarter / 4) for quarter in range(5)})
    kept = subject.trajectory(subject.shown(subject.chains), at)
    said = "Each row is a chain; columns are steps k of its K." if not subject.points else "The chains after k steps."
    return paragraph(f"{said} K = {subject.steps}.") + strip({f"k={step}": x for step, x in kept.items()})


def nearest(subject: Subject) -> str:
    """Whether the model copies: the training examples nearest to its samples."""
    subject.need_images("Nearest training examples")
    found = subject.samples[: subject.chains]
    count = min(4, len(subject.examples))
    near = neighbours(found, subject.examples, count=count)
    between = neighbours(some(subject.examples, len(found)), subject.examples, count=min(2, len(subject.examples)))
    said = (
        f"Left a sample, then the {count} nearest of {len(subject.examples):,} training examples in Euclidean "
        f"distance. Distance to the nearest, median over the rows: {float(near.distance[:, 0].median()):.3g}; "
        f"from a training example to its own nearest other: {float(between.distance[:, -1].median()):.3g}."
    )
    columns = {"sample": found} | {f"no. {n + 1}": subject.examples.fetch(near.indices[:, n]) for n in range(count)}
    return paragraph(said) + strip(columns)


def reconstruction(subject: Subject) -> str:
    """Starts inferred for given examples, by descent on |M(z) - x|²."""
    subject.need_images("Reconstructions")
    source, whose = (subject.examples, "training") if subject.held_out is None else (subject.held_out, "held-out")
    x = some(source, subject.chains).to(subject.device)
    at = sorted({0, *(n for n in (10, 50, 200) if n < subject.updates), subject.updates})
    found = subject.short.reconstruct(x, subject.rng(), updates=subject.updates, at=at)
    error = found.error.double().cpu()
    said = (
        f"The start z of the chain is sought so that its end is near a given {whose} example. Squared error per pixel "
        f"after {subject.updates} updates: {float(error[-1].mean()):.4g}, from {float(error[0].mean()):.4g} at first."
    )
    columns = {"given": x} | {f"t={update}": x for update, x in found.kept.items()}
    updates = torch.arange(len(error))
    series = {"mean": error.mean(1), "worst": error.amax(1)}
    return paragraph(said) + strip(columns) + plots(curves(updates, series, title="Squared error per pixel"))


def interpolation(subject: Subject) -> str:
    """The ends of chains along the way from one start to another."""
    subject.need_images("Interpolations")
    rng, rows = subject.rng(), min(5, subject.chains)
    z1, z2 = (subject.short.init.sample(rows, rng) for _ in range(2))
    images = rearrange(subject.short.interpolate(z1, z2, COLUMNS), "n b ... -> (b n) ...")
    said = "Each row: starts ρ z₁ + √(1 - ρ²) z₂ from ρ = 1, left, to ρ = 0; the chain's noise is held."
    return paragraph(said) + gallery(picture(images, COLUMNS, f"{rows} ways between two draws of the init"))


def long_chains(subject: Subject) -> str:
    """What becomes of chains that run on: they are no better, and they do not mix."""
    subject.need_pictures()
    length = subject.steps
    every = max(divisor for divisor in range(1, max(1, length // 10) + 1) if length % divisor == 0)
    seen: list[Tensor] = []
    kept: dict[str, Tensor] = {}
    looks = {length * times for times in (0, 1, 2, 5, TIMES)}
    for step, x in subject.long_run(subject.shown(subject.chains), TIMES, every):
        seen.append(energies(subject.short.energy, x))
        if step in looks:
            kept[f"k={step}"] = x
    values = torch.stack(seen).double().cpu()
    agreed = mixing(values[length // every :])
    said = f"The model is the chain at K = {length}; here it runs on to {TIMES * length}. {agreed}"
    drawn = curves(
        every * torch.arange(len(seen)),
        {"mean": values.mean(1), "lowest": values.amin(1), "highest": values.amax(1)},
        title="Energy of long chains",
        x="step of the chain",
    )
    return paragraph(said) + strip(kept) + plots(drawn)


def mixing(values: Tensor) -> str:
    """In a sentence, whether chains agree by their energies `(steps, chains)`."""
    if len(values) < SHORTEST:
        return ""
    found = convergence(values)
    return (
        f"Energies after step K: split R-hat {found.rhat:.3g} (chains of one law: below 1.01), effective sample size "
        f"{found.ess:.3g} of {values.numel():,}."
    )
