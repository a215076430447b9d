"""A small classifier of labelled grey images, as features for `ebmkit evaluate` and `ebmkit study`.

    python examples/paper/classifier.py FOLDER classifier.pt --size 16

FOLDER has the idx files of MNIST or Fashion-MNIST. The file is TorchScript; its features are the 64 activations before
the last layer, and its accuracy is measured on images that it was not trained on.
"""

from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from ebmkit.data.examples import Examples
from ebmkit.data.idx import idx

D, CLASSES = 64, 10
HELD_OUT = 5_000


def network() -> nn.Sequential:
    """A classifier of grey images of any size from 8x8."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.SiLU()),
        *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.SiLU()),
        *(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(32 * 16, D), nn.SiLU(), nn.Linear(D, CLASSES)),
    )


def train(classifier: nn.Sequential, images: Tensor, labels: Tensor, epochs: int = 5) -> float:
    """Train on all images `(N, 1, H, W)` but the last 5,000, and return the accuracy on these."""
    optimizer = torch.optim.Adam(classifier.parameters(), lr=2e-3)
    shown = len(images) - HELD_OUT
    for _ in range(epochs):
        for batch in torch.randperm(shown).split(64):
            loss = functional.cross_entropy(classifier(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return float((classifier(images[shown:]).argmax(1) == labels[shown:]).double().mean())


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of the idx files.")],
    file: Annotated[Path, typer.Argument(help="The TorchScript file to write.")],
    size: Annotated[int, typer.Option(help="Side of the images.", min=8)] = 16,
    limit: Annotated[int, typer.Option(help="How many images are used.", min=2 * HELD_OUT)] = 25_000,
) -> None:
    """Train the classifier, print its accuracy and write its features."""
    torch.manual_seed(0)
    examples = Examples(idx(path=folder, size=size, fit="resize", limit=limit))
    images = examples.fetch(torch.arange(len(examples)))
    classifier = network()
    accuracy = train(classifier, images, examples.labels)
    torch.jit.trace(classifier[:-1].eval(), images[:2]).save(str(file))
    print(f"accuracy on {HELD_OUT:,} images held out: {accuracy:.1%}; features in {file}")


if __name__ == "__main__":
    typer.run(main)
