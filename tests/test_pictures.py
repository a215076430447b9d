"""Pictures: the places of tiles, the meaning of colours, the orientation of clouds."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ebmkit.pictures import CAPTION, GUTTER, PAPER, TILE, beside, cloud, drawable, grid, pixels, strip


def shades(*values: float, size: int = TILE, channels: int = 1) -> Tensor:
    """Flat images of these values, `(n, channels, size, size)`."""
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, channels, size, size).clone()


def array(picture) -> np.ndarray:
    return np.asarray(picture).astype(int)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 8, 8), True), ((3, 5, 7), True), ((2,), True), ((2, 8, 8), False), ((3,), False), ((8, 8), False)],
)
def test_images_and_points_in_the_plane_can_be_drawn(shape, expected):
    assert drawable(shape) is expected


def test_tiles_are_placed_row_by_row_with_gutters():
    sheet = array(grid(shades(-1.0, 0.0, 1.0), columns=2))
    step = TILE + GUTTER
    assert sheet.shape == (2 * TILE + GUTTER, 2 * TILE + GUTTER, 3)
    assert (sheet[:TILE, :TILE] == 0).all()
    assert (sheet[:TILE, step:] == 128).all()
    assert (sheet[step:, :TILE] == 255).all()
    assert (sheet[step:, step:] == PAPER).all()
    assert (sheet[TILE:step] == PAPER).all()
    assert (sheet[:, TILE:step] == PAPER).all()


@pytest.mark.parametrize(("size", "scale"), [(8, 6), (28, 2), (47, 2), (48, 1), (64, 1)])
def test_small_images_are_enlarged_by_whole_pixels(size, scale):
    x = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sheet = array(grid(x, columns=1))
    assert sheet.shape == (scale * size, scale * size, 3)
    for down in range(scale):
        for right in range(scale):
            assert (sheet[down::scale, right::scale] == pixels(x)[0]).all()


def test_images_need_not_be_square():
    assert array(grid(torch.zeros(1, 1, 12, 24), columns=1)).shape == (24, 48, 3)


def test_values_go_from_black_to_white_and_are_clipped():
    shown = pixels(shades(-3.0, -1.0, 0.0, 1.0, 7.0, size=1))
    assert shown[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]
    assert shown.dtype == np.uint8
    assert (shown == shown[..., :1]).all()


def test_colours_keep_their_channels_and_positions():
    x = torch.full((1, 3, 2, 2), -1.0)
    x[0, 0, 0, 1] = x[0, 1, 1, 0] = x[0, 2, 1, 1] = 1.0
    assert pixels(x)[0].tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 255, 0], [0, 0, 255]]]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_pixels_that_are_not_finite_are_red(channels, value):
    x = shades(0.5, size=2, channels=channels)
    x[0, -1, 0, 1] = value
    shown = pixels(x)[0]
    assert shown[0, 1].tolist() == [255, 0, 0]
    assert (shown[1] == 191).all()


def test_drawing_does_not_change_the_examples():
    x = shades(5.0, float("nan")).requires_grad_()
    kept = x.detach().clone()
    grid(x, columns=2)
    assert torch.equal(x.detach().nan_to_num(9.0), kept.nan_to_num(9.0))


def test_a_cloud_has_x_to_the_right_and_y_upwards():
    sheet = array(cloud(torch.tensor([[1.0, 0.5]] * 50), bins=36, extent=1.8))
    dark = np.argwhere(sheet[..., 0] < 128)
    # Bins are 0.1 wide and 3 pixels large; 1.0 is in bin 28 from the left, 0.5 in bin 12 from the top.
    assert dark.min(0).tolist() == [3 * 12, 3 * 28]
    assert dark.max(0).tolist() == [3 * 12 + 2, 3 * 28 + 2]
    assert sheet.shape == (108, 108, 3)


def test_a_cloud_is_darkest_where_most_points_are():
    points = torch.tensor([[0.55, 0.0]] * 100 + [[-0.55, 0.0]] * 25)
    sheet = array(cloud(points, bins=36))
    middle = sheet.shape[1] // 2
    few, many = sheet[:, :middle].min(), sheet[:, middle:].min()
    assert many < few < sheet.max() == 255


@pytest.mark.parametrize("points", [torch.full((5, 2), float("nan")), torch.full((5, 2), 99.0), torch.empty(0, 2)])
def test_a_cloud_without_points_in_range_is_blank(points):
    assert (array(cloud(points)) == 255).all()


def test_points_in_the_plane_are_drawn_as_a_cloud():
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    assert grid(x, columns=9) == cloud(x)


def test_panels_are_side_by_side_under_their_captions():
    panel = grid(shades(-1.0), columns=1)
    sheet = array(beside({"left": panel, "right": grid(shades(1.0), columns=1)}))
    gap = 8 * GUTTER
    right = 2 * gap + TILE
    assert sheet.shape == (CAPTION + TILE + gap, 3 * gap + 2 * TILE, 3)
    assert (sheet[CAPTION : CAPTION + TILE, gap : gap + TILE] == 0).all()
    assert (sheet[CAPTION : CAPTION + TILE, right : right + TILE] == 255).all()
    for left in (gap, right):
        assert (sheet[:CAPTION, left : left + TILE] != PAPER).any()
    assert (sheet[:, :gap] == PAPER).all()


def test_a_wide_caption_makes_room_for_itself():
    panel = grid(shades(0.0), columns=1)
    caption = "a caption wider than its panel"
    assert beside({caption: panel}).width > 8 * len(caption) > panel.width


def test_a_strip_has_a_row_per_chain_and_a_column_per_step():
    trajectory = {0: shades(-1.0, 1.0), 50: shades(0.0, 0.0), 100: shades(1.0, -1.0)}
    sheet = array(strip(trajectory))
    gap = 8 * GUTTER
    columns = [sheet[CAPTION : CAPTION + 2 * TILE + GUTTER, gap + n * (TILE + gap) :][:, :TILE] for n in range(3)]
    for column, (upper, lower) in zip(columns, [(0, 255), (128, 128), (255, 0)], strict=True):
        assert (column[:TILE] == upper).all()
        assert (column[TILE : TILE + GUTTER] == PAPER).all()
        assert (column[TILE + GUTTER :] == lower).all()
    assert sheet.shape[1] == 3 * TILE + 4 * gap
    assert sheet.shape == array(beside({f"k={k}": grid(x, columns=1) for k, x in trajectory.items()})).shape
    assert strip(trajectory) == beside({f"k={k}": grid(x, columns=1) for k, x in trajectory.items()})
