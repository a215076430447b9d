"""The judge of a race: one set of features for all contenders, and the measures of `ebmkit evaluate` on them.

Fréchet distances on pixels say nothing about starts that have the mean and covariance of the data, so the features are
those of a classifier of the labels of the data: of the digits the one of ebmkit, of idx files one trained here, once.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ebmkit.data.examples import Examples
from ebmkit.data.idx import read
from ebmkit.errors import UsageError
from ebmkit.evaluation.measures import as_rows, evaluate
from ebmkit.features.digits import Digits
from ebmkit.features.protocols import Classifier
from ebmkit.files import replacing

D, CLASSES = 64, 10
EPOCHS, BATCH, RATE = 5, 64, 2e-3
HELD_OUT = 10  # one image in this many is not trained on, for the accuracy of the classifier
MOST = 20_000  # images that it is trained on
LABELS = "train-labels-idx1-ubyte"


class Labelled:
    """Features of a small classifier of grey images, the activations `(n, 64)` before its last layer.

    Attributes:
        accuracy: The fraction of images that it classifies rightly, of those that it was not trained on.
    """

    name, d = "classifier", D

    def __init__(self, network: nn.Sequential, accuracy: float) -> None:
        self.network, self.accuracy = network.eval().requires_grad_(False), accuracy
        self.preprocessing = f"none; a classifier of the labels, accuracy {accuracy:.1%} on images held out"

    def __call__(self, x: Tensor) -> Tensor:
        """Features `(n, 64)` of images `(n, 1, H, W)`."""
        features: Tensor = self.network[:-1](x)
        return features

    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities `(n, 10)` of the classes."""
        logits: Tensor = self.network(x)
        return logits.softmax(1)


def judge_of(examples: Examples, images: Tensor, labels: Tensor | None, file: Path) -> Classifier:
    """The features for these data: `labels` `(N,)` of `images`, or None for ebmkit's own digits.

    The network is read from the file if it is already there.
    """
    if labels is None:
        return Digits(examples)
    if not file.exists():
        labelled = train(images, labels, seed=0)
        with replacing(file) as new:
            torch.save({"network": labelled.network.state_dict(), "accuracy": labelled.accuracy}, new)
    saved = torch.load(file, weights_only=True)
    classifier = network()
    classifier.load_state_dict(saved["network"])
    return Labelled(classifier, saved["accuracy"])


def network() -> nn.Sequential:
    """A classifier of grey images of any size from 8x8, with new weights."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.SiLU()),
        *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.SiLU()),
        *(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(32 * 16, D), nn.SiLU(), nn.Linear(D, CLASSES)),
    )


def train(images: Tensor, labels: Tensor, *, seed: int) -> Labelled:
    """The classifier trained on images `(N, 1, H, W)` and their labels `(N,)`; the same seed gives the same network."""
    rng = Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = network()
    order = torch.randperm(len(images), generator=rng)
    others, shown = order[::HELD_OUT], order[torch.arange(len(order)) % HELD_OUT > 0][:MOST]
    optimizer = torch.optim.Adam(classifier.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        for batch in shown[torch.randperm(len(shown), generator=rng)].split(BATCH):
            loss = functional.cross_entropy(classifier(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        right = classifier(images[others]).argmax(1) == labels[others]
    return Labelled(classifier, float(right.double().mean()))


def labels_of(examples: Examples, folder: Path) -> Tensor:
    """The labels `(N,)` of images from the idx files of a folder.

    Raises:
        UsageError: if the folder has no file of labels.
    """
    found = [path for path in (folder / LABELS, folder / f"{LABELS}.gz") if path.exists()]
    if not found:
        raise UsageError(f"{folder} has no {LABELS}, raw or as .gz, which the judge of the race learns from")
    return torch.from_numpy(read(found[0], 1)[examples.source.indices].astype("int64"))


def judged(samples: Tensor, starts: Tensor, examples: Examples, features: Classifier) -> list[dict[str, Any]]:
    """The measures of samples `(n, *shape)` with the starts of their chains, as rows for JSON.

    Raises:
        UsageError: if some are not finite.
    """
    n = len(samples)
    with torch.no_grad():
        return as_rows(evaluate(lambda _: samples, lambda _: starts, examples, features, n=n))
