"""How good a model of classes is as a classifier, and how well scores separate other data from the model's own."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Generator, Tensor

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError, check
from ebmkit.evaluation.energy import energies
from ebmkit.evaluation.measures import Measure
from ebmkit.methods.classes import ClassShortRun
from ebmkit.shortrun import ShortRun

BINS = 15  # of confidence, as in Guo et al. and in the paper of JEM


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The fraction of examples whose largest logit, of `(n, classes)`, is that of their label, `(n,)`."""
    return float((logits.argmax(1) == labels).double().mean())


def calibration_error(logits: Tensor, labels: Tensor, *, bins: int = BINS) -> float:
    """The expected calibration error: the mean over examples of |accuracy - confidence| in their bin of confidence.

    The confidence is the largest probability of the softmax of the logits `(n, classes)`; bins are equally wide.

    Source: Guo, Pleiss, Sun, Weinberger, ICML 2017, eq. 3.

    Raises:
        UsageError: if `bins` is below 1.
    """
    check("bins", bins, at_least=1)
    confidence, guessed = logits.double().softmax(1).max(1)
    right = (guessed == labels).double()
    # The bins are (0, 1/bins], ..., so that a confidence of 1 is in the last.
    places = (confidence * bins).ceil().long().clamp(1, bins) - 1
    sums = torch.zeros(bins, dtype=torch.double, device=logits.device).index_add_(0, places, right - confidence)
    return float(sums.abs().sum() / len(labels))


def auroc(own: Tensor, other: Tensor) -> float:
    """The area under the ROC curve: the probability that one of the scores `own` is above one of `other`.

    Ties count half. 1 separates them perfectly, 0.5 is chance.

    Raises:
        UsageError: unless both have scores, all of them finite.
    """
    from sklearn.metrics import roc_auc_score

    scores = torch.cat([own, other]).double().cpu()
    if not len(own) or not len(other) or not bool(scores.isfinite().all()):
        raise UsageError("a ROC curve needs finite scores of both kinds of examples")
    return float(roc_auc_score([1] * len(own) + [0] * len(other), scores.numpy()))


def class_measures(
    short: ShortRun,
    examples: Examples,
    device: torch.device,
    *,
    n: int,
    seed: int = 0,
    other: Examples | None = None,
) -> Iterator[Measure]:
    """What a model of classes is worth as a classifier, and how well a model's scores separate other data from its own.

    In place of noise, the accuracy has that of always guessing the most frequent class, and an area has 0.5, chance.

    Args:
        short: The model.
        examples: The data, with labels if it is a model of classes.
        device: Where the model computes.
        n: How many examples are classified, drawn by the seed.
        seed: Seed of the choice of examples.
        other: Data of another distribution; None leaves out what needs them.

    Raises:
        UsageError: if there are no labels, n is out of range, or the other data have another shape.
    """
    check("n", n, at_least=1, at_most=len(examples))
    chosen = torch.randperm(len(examples), generator=Generator().manual_seed(seed))[:n]
    x = examples.fetch(chosen).to(device)
    blank = Measure("", None, None, None, None, n, "none", seed, "none")
    if isinstance(short, ClassShortRun):
        logits, labels = short.logits(x).cpu(), examples.labels[chosen]
        guess = float(labels.bincount().max()) / len(labels)
        yield replace(blank, name="Accuracy", value=accuracy(logits, labels), noise_against_real=guess)
        yield replace(blank, name="Expected calibration error", value=calibration_error(logits, labels))
    if other is not None:
        if other.shape != examples.shape:
            raise UsageError(
                f"the other data have shape {other.shape}, and those of the model {examples.shape}: fit them with "
                "settings like -s other.size=8"
            )
        some = torch.randperm(len(other), generator=Generator().manual_seed(seed))[:n]
        for score, (own, others) in scores_of(short, x, other.fetch(some).to(device)).items():
            name = f"Out-of-distribution AUROC by {score}"
            yield replace(blank, name=name, value=auroc(own, others), noise_against_real=0.5)


def scores_of(short: ShortRun, x: Tensor, other: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """The scores of examples `x` and of other data by name; high scores are for the model's own data.

    Raises:
        UsageError: for a model whose energy is not one of examples.
    """
    if short.decode is not None:
        raise UsageError("the energy of this model is one of states, not of examples: it has no score for other data")
    found = {"-E(x)": (-energies(short.energy, x), -energies(short.energy, other))}
    if isinstance(short, ClassShortRun):
        most = [short.logits(one).softmax(1).amax(1) for one in (x, other)]
        found["max p(y|x)"] = (most[0], most[1])
    return found
