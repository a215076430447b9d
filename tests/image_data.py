"""Encoded images and the pixels that they should give; shared by several test files."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError


def encoded(pixels, format="png", mode=None, **options):
    """The bytes of a file with these pixels."""
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.convert(mode or image.mode).save(file, format, **options)
    return file.getvalue()


def write(path: Path, pixels, mode=None, **options):
    """A file with these pixels; its suffix says which format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    image.convert(mode or image.mode).save(path, **options)
    return path


def expected(pixels):
    """The example that pixels `(H, W)` or `(H, W, 3)` become."""
    values = torch.from_numpy(np.array(pixels)) / 127.5 - 1
    return values[None] if values.ndim == 2 else values.movedim(2, 0)


def everything(source):
    """All examples of a data set, `(N, *shape)`."""
    examples = Examples(source)
    return examples.fetch(torch.arange(len(examples)))


def refused(match, make, *given, **wrong):
    """Check that `make(*given, **wrong)` raises a UsageError of one line that matches."""
    with pytest.raises(UsageError, match=match) as error:
        make(*given, **wrong)
    assert "\n" not in str(error.value)


def shared(name):
    """A file of real data that is not part of the repository; the test is skipped where it is missing."""
    path = Path(__file__).parents[2] / "shared" / "data" / name
    if not path.exists():
        pytest.skip(f"this test needs ../shared/data/{name}")
    return path
