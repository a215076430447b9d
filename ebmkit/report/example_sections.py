"""The sections that show examples: each returns HTML, or raises UsageError with the reason why it does not apply."""

import torch
from einops import rearrange
from torch import Tensor

from ebmkit.evaluation.diagnostics import SHORTEST, convergence
from ebmkit.evaluation.energy import energies
from ebmkit.evaluation.nearest import nearest_examples
from ebmkit.report.context import ReportContext, random_examples
from ebmkit.report.figures import curves
from ebmkit.report.layout import gallery, paragraph, picture, plots, strip

TIMES = 10  # the length of the long chains, in chains of K steps
COLUMNS = 8  # of a grid of samples, and of an interpolation


def samples(context: ReportContext) -> str:
    """Samples beside real examples."""
    context.need_pictures()
    return gallery(
        picture(context.real, COLUMNS, "Real examples, chosen at random"),
        picture(context.samples, COLUMNS, "Samples: the ends of the model's chains, not selected"),
    )


def noise_to_image(context: ReportContext) -> str:
    """The chain as a generator: its start, its end, and three steps between them."""
    context.need_pictures()
    at = sorted({round(context.steps * quarter / 4) for quarter in range(5)})
    kept = context.trajectory(context.shown(context.chains), at)
    text = "The chains after k steps." if context.points else "Each row is a chain, each column a step k of its K."
    return paragraph(f"{text} K = {context.steps}.") + strip({f"k={step}": x for step, x in kept.items()})


def nearest(context: ReportContext) -> str:
    """Whether the model copies its data: the training examples nearest to its samples."""
    context.need_images("Nearest training examples")
    found = context.samples[: context.chains]
    count = min(4, len(context.examples))
    near = nearest_examples(found, context.examples, count=count)
    some = random_examples(context.examples, len(found))
    between = nearest_examples(some, context.examples, count=min(2, len(context.examples)))
    text = (
        f"On the left a sample, then the {count} nearest of {len(context.examples):,} training examples in Euclidean "
        f"distance. Median distance from a sample to the nearest example: {float(near.distance[:, 0].median()):.3g}; "
        f"from a training example to the nearest other one: {float(between.distance[:, -1].median()):.3g}."
    )
    columns = {"sample": found} | {f"no. {n + 1}": context.examples.fetch(near.indices[:, n]) for n in range(count)}
    return paragraph(text) + strip(columns)


def reconstruction(context: ReportContext) -> str:
    """Starts inferred for given examples, by gradient descent on |M(z) - x|²."""
    context.need_images("Reconstructions")
    source, kind = (context.examples, "training") if context.held_out is None else (context.held_out, "held-out")
    x = random_examples(source, context.chains).to(context.device)
    at = sorted({0, *(n for n in (10, 50, 200) if n < context.updates), context.updates})
    found = context.short.reconstruct(x, context.rng(), updates=context.updates, at=at)
    error = found.error.cpu().double()
    text = (
        f"The start z of the chain is optimised so that its end is near a given {kind} example. Squared error per "
        f"pixel after {context.updates} updates: {float(error[-1].mean()):.4g}, at first {float(error[0].mean()):.4g}."
    )
    columns = {"given": x} | {f"t={update}": x for update, x in found.kept.items()}
    updates = torch.arange(len(error))
    series = {"mean": error.mean(1), "worst": error.amax(1)}
    return paragraph(text) + strip(columns) + plots(curves(updates, series, title="Squared error per pixel"))


def interpolation(context: ReportContext) -> str:
    """The ends of chains whose starts lie on the path from one start to another."""
    context.need_images("Interpolations")
    rng, rows = context.rng(), min(5, context.chains)
    z1, z2 = (context.short.init.sample(rows, rng) for _ in range(2))
    images = rearrange(context.short.interpolate(z1, z2, COLUMNS), "n b ... -> (b n) ...")
    text = "Each row: starts ρ z₁ + √(1 - ρ²) z₂, from ρ = 1 on the left to ρ = 0; the noise of the chain is fixed."
    return paragraph(text) + gallery(picture(images, COLUMNS, f"{rows} interpolations between two starts"))


def long_chains(context: ReportContext) -> str:
    """Chains beyond K steps, which show that the chains of the model have not converged."""
    context.need_pictures()
    length = context.steps
    every = max(divisor for divisor in range(1, max(1, length // 10) + 1) if length % divisor == 0)
    seen: list[Tensor] = []
    kept: dict[str, Tensor] = {}
    looks = {length * times for times in (0, 1, 2, 5, TIMES)}
    for point in context.long_run(context.shown(context.chains), TIMES, every):
        seen.append(energies(context.short.energy, point.z))
        if point.step in looks:
            kept[f"k={point.step}"] = point.x
    values = torch.stack(seen).cpu().double()
    agreement = mixing(values[length // every :])
    text = f"The model is the chain at K = {length}; here it continues to {TIMES * length}. {agreement}"
    drawn = curves(
        every * torch.arange(len(seen)),
        {"mean": values.mean(1), "lowest": values.amin(1), "highest": values.amax(1)},
        title="Energy of long chains",
        x="step of the chain",
    )
    return paragraph(text) + strip(kept) + plots(drawn)


def mixing(values: Tensor) -> str:
    """A sentence on whether chains agree, judged by their energies `(steps, chains)`; empty for too few steps."""
    if len(values) < SHORTEST:
        return ""
    found = convergence(values)
    return (
        f"Energies after step K: split R-hat {found.rhat:.3g} (below 1.01 if all chains have one distribution), "
        f"effective sample size {found.ess:.3g} of {values.numel():,}."
    )
