"""The features: their values for points, and the data that they refuse."""

from collections.abc import Callable

import pytest
import torch
from ebmkit_toys.feature import Polar

from ebmkit import UsageError
from ebmkit.data import Examples
from ebmkit.testing import conforms


@conforms("features", Polar)
def test_polar_conforms(check: Callable[[], None]):
    check()


def test_points_have_a_distance_and_a_direction():
    found = Polar(Examples(torch.zeros(4, 2)))(torch.tensor([[0.0, 0.5], [-0.3, 0.4], [0.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.0, 1.0], [0.5, -0.6, 0.8], [0.0, 0.0, 0.0]]))


def test_images_are_refused():
    with pytest.raises(UsageError, match="points in the plane, not for examples of shape"):
        Polar(Examples(torch.zeros(4, 1, 8, 8)))
