"""The features of a small classifier of handwritten digits, which is trained on the spot."""

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ebmkit.data.examples import Examples, as_examples
from ebmkit.data.images import fitted
from ebmkit.errors import check
from ebmkit.features.checks import check_images

D = 64
LARGEST = 32  # larger images are shrunk: the digits of the training have 8x8 pixels
TRAINED_ON = 1438  # of 1797; the rest is held out
EPOCHS, BATCH = 10, 64


class Digits:
    """For images of digits: a convolutional classifier, trained in seconds on the labelled digits of scikit-learn.

    The digits are scaled to the size of the data; the features `(n, 64)` are the activations before the last layer. On
    one machine the same seed gives the same network.

    Args:
        data: The examples: images of 1 or 3 channels.
        seed: Seed of the weights and of the order of the digits.

    Raises:
        UsageError: if the examples are not images of 1 or 3 channels, or the seed is out of range.
    """

    d = D

    def __init__(self, data: Examples, *, seed: int = 0) -> None:
        check_images("digits", data.shape)
        check("seed", seed, at_least=0, below=2**63)
        height, width = data.shape[1:]
        self.size = min(height, LARGEST), min(width, LARGEST)
        self.name = "digits"
        with torch.inference_mode(False), torch.enable_grad():  # whatever mode the caller is in
            self.network, self.accuracy = trained(self.size, seed)
        self.preprocessing = (
            f"grey, scaled to {self.size[0]}x{self.size[1]}; a classifier of digits, seed {seed}, "
            f"accuracy {self.accuracy:.1%} on digits that it was not trained on"
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Features `(n, 64)` of images `(n, C, H, W)`."""
        with torch.no_grad():
            features: Tensor = self.network.to(x.device)[:-1](self._prepared(x))
        return features

    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities `(n, 10)` of the ten digits."""
        with torch.no_grad():
            logits: Tensor = self.network.to(x.device)(self._prepared(x))
        return logits.softmax(1)

    def _prepared(self, x: Tensor) -> Tensor:
        """Images `(n, C, H, W)` in grey and in the size of the network."""
        return scaled(fitted(x.float().cpu(), None, "pad", 1).to(x.device), self.size)


def trained(size: tuple[int, int], seed: int) -> tuple[nn.Sequential, float]:
    """A network in evaluation mode for grey images of this size, and its accuracy on the digits held out."""
    rng = Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.SiLU()),
            *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.SiLU()),
            *(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(32 * 16, D), nn.SiLU(), nn.Linear(D, 10)),
        )
    x, labels = labelled(size, rng)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(TRAINED_ON, generator=rng).split(BATCH):  # type: ignore[no-untyped-call]
            loss = functional.cross_entropy(network(x[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    network.eval().requires_grad_(False)
    right = network(x[TRAINED_ON:]).argmax(1) == labels[TRAINED_ON:]
    return network, float(right.double().mean())


def labelled(size: tuple[int, int], rng: Generator) -> tuple[Tensor, Tensor]:
    """The digits of scikit-learn, shuffled: images `(1797, 1, *size)` and their labels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=rng)
    x = scaled(as_examples(digits.images / 8 - 1).unsqueeze(1), size)
    return x[order], torch.as_tensor(digits.target, dtype=torch.long)[order]


def scaled(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Images `(n, 1, H, W)` as `(n, 1, *size)`, bilinearly and with antialiasing."""
    return x if x.shape[2:] == size else functional.interpolate(x, size, mode="bilinear", antialias=True)
