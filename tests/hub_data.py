"""Rows in the formats of the Hugging Face hub; shared by several test files."""

import numpy as np
import pytest
import torch
from image_data import encoded, expected

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 7, 3), dtype=np.uint8)
ALL = torch.stack([expected(pixels) for pixels in PIXELS])
NAMES = ["cat", "dog", "owl"]


def library_with_cache(cache, monkeypatch):
    """The package `datasets`, with this folder as its cache."""
    library = pytest.importorskip("datasets")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr("datasets.builder.config.HF_DATASETS_CACHE", cache)
    library.disable_progress_bars()
    return library


def labelled_rows(library):
    """Six images with labels, the last without one."""
    features = library.Features({"picture": library.Image(), "label": library.ClassLabel(names=NAMES)})
    table = {"picture": [{"bytes": encoded(one), "path": None} for one in PIXELS], "label": [0, 1, 2, 0, 1, -1]}
    return library.Dataset.from_dict(table, features=features)
