"""The features of the FID: the Inception network of 2015, with weights from a file of the user."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ebmkit.data.examples import Examples
from ebmkit.data.images import fitted
from ebmkit.data.paths import existing_file
from ebmkit.errors import UsageError
from ebmkit.features.checks import check_images
from ebmkit.features.inception2015 import D, Inception2015

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
FILE = "pt_inception-2015-12-05-6726825d.pth"
SIDE = 299


class Inception:
    """The Inception network of 2015: the only features whose Fréchet distance may be called FID.

    Images become 8-bit colours, are scaled to 299x299 like in TensorFlow 1, and enter the network as `(x - 128) / 128`;
    the features `(n, 2048)` are the means over the image of the last block.

    Source: Heusel et al., NeurIPS 2017.

    Args:
        data: The examples: images of 1 or 3 channels.
        weights: The file pt_inception-2015-12-05-6726825d.pth; it is never downloaded.

    Raises:
        UsageError: if the file is missing or is another one, or the examples are not images of 1 or 3 channels.
    """

    d = D

    def __init__(self, data: Examples, *, weights: Path) -> None:
        check_images("inception", data.shape)
        file = existing_file(weights, FILE)
        check_sha256(file)
        self.name = "inception"
        self.network = loaded(torch.load(file, map_location="cpu", weights_only=True))
        self.preprocessing = f"8 bits, {SIDE}x{SIDE} as TensorFlow 1 scales, weights sha256 {SHA256}"

    def __call__(self, x: Tensor) -> Tensor:
        """Features `(n, 2048)` of images `(n, C, H, W)`."""
        with torch.no_grad():
            features: Tensor = self.network.to(x.device)(prepared(x))
        return features

    def probabilities(self, x: Tensor) -> Tensor:
        """Probabilities `(n, 1008)` from the last layer without its bias, as in the Inception score."""
        return functional.linear(self(x), self.network.fc.weight).softmax(1)


def check_sha256(file: Path) -> None:
    """Refuse any file except the published one.

    Raises:
        UsageError: if it cannot be read or has another hash.
    """
    try:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"weights: cannot read {file}: {error.strerror}") from error
    if found != SHA256:
        raise UsageError(f"weights: {file} is not {FILE}: its sha256 is {found}, expected {SHA256}")


def loaded(state: Any) -> Inception2015:
    """The network with these tensors, in evaluation mode.

    Raises:
        UsageError: if they are not exactly those of the network, by name and by shape.
    """
    with torch.device("meta"):  # draws no weights, which would be thrown away
        network = Inception2015()
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()} if isinstance(state, dict) else {}
    wrong = sorted(name for name in {*expected, *given} if expected.get(name) != given.get(name))
    if wrong:
        name = wrong[0]
        raise UsageError(
            f"weights: {len(wrong)} tensors are not those of {FILE}: {name} is "
            f"{given.get(name, 'missing')}, expected {expected.get(name, 'none of that name')}"
        )
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def prepared(x: Tensor) -> Tensor:
    """Images `(n, C, H, W)` in [-1, 1] as the network expects them, `(n, 3, 299, 299)`."""
    colours = fitted(((x.detach().float().clamp(-1, 1) + 1) * 127.5).round(), None, "pad", 3)
    high, wide = (weights_of_a_line(side, SIDE).to(x.device) for side in colours.shape[2:])
    return (high @ colours @ wide.T - 128) / 128


def weights_of_a_line(old: int, new: int) -> Tensor:
    """The weight of each of `old` pixels in each of `new`, `(new, old)`, in the bilinear scaling of TensorFlow 1.

    New pixel i is at `i * old / new`, not at the centre `(i + ½) old / new - ½` as in `functional.interpolate`.
    """
    place = torch.arange(new) * torch.tensor(old / new)
    left = place.floor().long()
    right = (left + 1).clamp(max=old - 1)
    part = (place - left).unsqueeze(1)
    return functional.one_hot(left, old) * (1 - part) + functional.one_hot(right, old) * part
