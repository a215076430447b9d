"""The networks: the kit's checks, published sizes, and what they refuse."""

from collections.abc import Callable

import pytest
import torch
from ebmkit_latent.deconvnet import DeconvNet
from ebmkit_latent.encodernet import EncoderNet
from torch import nn

from ebmkit import UsageError
from ebmkit.testing import conforms


@conforms("network", DeconvNet, maps=(8, 4))
def test_deconvnet_conforms(check: Callable[[], None]):
    check()


@conforms("network", EncoderNet, width=4)
def test_encodernet_conforms(check: Callable[[], None]):
    check()


@pytest.mark.parametrize(
    ("settings", "side", "maps"),
    [
        ({}, 8, [128]),
        ({"maps": (512, 256, 128)}, 32, [512, 256, 128]),
        ({}, 28, [256, 128]),
        ({}, 64, [1024, 512, 256, 128]),
        ({"maps": (1024, 512, 256), "start": 8, "last": "same"}, 32, [1024, 512, 256]),
        ({"maps": (64, 32, 16, 16, 8, 4)}, 256, [64, 32, 16, 16, 8, 4]),
    ],
    ids=str,
)
def test_a_generator_has_the_published_layers(settings, side, maps):
    with torch.device("meta"):
        net = DeconvNet((10,), (3, side, side), **settings)
        layers = [layer for layer in net.layers if isinstance(layer, nn.ConvTranspose2d)]
        assert [layer.in_channels for layer in layers] == [10, *maps]
        assert net(torch.zeros(2, 10)).shape == (2, 3, side, side)


@pytest.mark.parametrize(
    ("outputs", "settings", "message"),
    [
        ((2,), {}, "^deconvnet is for square images .*, not for examples of shape \\(2,\\); write use=dense"),
        ((1, 9, 9), {}, "^deconvnet is for square images"),
        ((1, 32, 32), {"start": 5}, "^start=5 doubled does not reach the side of the images, 32 pixels$"),
        ((1, 32, 32), {"maps": (8, 4)}, "^images of 32 pixels need maps of 3 layers, not of 2$"),
        ((1, 8, 8), {"maps": (0,)}, "^maps must be"),
        ((1, 8, 8), {"start": 8}, "^start=8 doubled"),
        ((1, 8, 8), {"start": 64}, "^start=64 doubled"),
        ((2,), {"start": 1}, "^deconvnet is for square images"),
        ((1, 28, 20), {"start": 5}, "^deconvnet is for square images"),
    ],
)
def test_a_generator_that_cannot_be_is_refused_in_one_line(outputs, settings, message):
    with pytest.raises(UsageError, match=message) as caught:
        DeconvNet((4,), outputs, **settings)
    assert "\n" not in str(caught.value)
