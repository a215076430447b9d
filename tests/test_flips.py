"""Flips: images of a batch mirrored left to right, from the randomness of the batches."""

from itertools import islice

import pytest
import torch
from commands import SMALL, refused
from torch import Generator

from ebmkit.data.examples import Examples, batches
from ebmkit.errors import UsageError

# One image with a different value in each pixel, so that a mirrored one is recognised.
IMAGE = torch.linspace(-1, 1, 2 * 3 * 4).view(1, 2, 3, 4)


def drawn(seed=0, count=20, **settings):
    stream = batches(Examples(IMAGE.expand(50, 2, 3, 4)), 50, Generator().manual_seed(seed), **settings)
    return torch.cat(list(islice(stream, count)))


def z_of(flipped, share):
    """z of the share of flipped images against an expected one."""
    return float((flipped.double().mean() - share) / (share * (1 - share) / len(flipped)) ** 0.5)


def test_half_of_the_images_are_mirrored_left_to_right():
    images = drawn(flip=True)
    mirrored = (images == IMAGE.flip(-1)).flatten(1).all(1)
    assert torch.equal(mirrored, (images != IMAGE).flatten(1).any(1))
    assert abs(z_of(mirrored, 0.5)) < 5
    assert abs(z_of(mirrored, 0.4)) > 5


def test_each_image_is_flipped_independently():
    mirrored = (drawn(flip=True) != IMAGE).flatten(1).any(1).double() * 2 - 1
    assert abs(float((mirrored[1:] * mirrored[:-1]).mean()) * (len(mirrored) - 1) ** 0.5) < 5


def test_flips_come_from_the_randomness_of_the_batches():
    assert torch.equal(drawn(flip=True, noise=0.1), drawn(flip=True, noise=0.1))
    assert not torch.equal(drawn(flip=True), drawn(1, flip=True))


def test_without_flips_the_random_stream_is_unchanged():
    rng, plain = Generator().manual_seed(0), Generator().manual_seed(0)
    next(batches(Examples(IMAGE.expand(50, 2, 3, 4)), 8, rng, flip=False))
    torch.randint(50, (8,), generator=plain)
    assert torch.equal(rng.get_state(), plain.get_state())


def test_flips_of_points_are_refused_at_the_call():
    with pytest.raises(UsageError, match=r"flip mirrors images .*not examples of shape \(2,\)"):
        batches(Examples(torch.zeros(5, 2)), 2, Generator(), flip=True)


@pytest.mark.usefixtures("empty_folder")
def test_a_run_of_flipped_points_is_refused_before_it():
    words = ("--energy", "mlp", "--data", "moons", "-s", "train.flip=true", "--iterations", "1")
    assert "train.flip mirrors images" in refused("train", *SMALL[2:], *words)
