"""Data in the formats of the Hugging Face hub: parquet files and folders of `save_to_disk`."""

import shutil
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from ebmkit.data import Examples, hub
from fuzz.images import check, written
from fuzz.kind import Kind
from fuzz.values import json_texts


def library(place: Path) -> Any:
    """The package `datasets`, with its cache in this folder and without the network."""
    import datasets

    datasets.config.HF_DATASETS_CACHE = datasets.builder.config.HF_DATASETS_CACHE = str(place / "cache")
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()
    return datasets


def rows(place: Path) -> Any:
    """Three labelled pictures."""
    package = library(place)
    features = package.Features({"picture": package.Image(), "label": package.ClassLabel(names=["cat", "dog"])})
    picture = {"bytes": written("png", "RGB", {}), "path": None}
    return package.Dataset.from_dict({"picture": [picture] * 3, "label": [0, 1, -1]}, features=features)


def parquet(place: Path) -> list[bytes]:
    """The rows as a parquet file."""
    rows(place).to_parquet(str(place / "a.parquet"))
    return [(place / "a.parquet").read_bytes()]


def read_parquet(place: Path) -> None:
    """Open the images, decode them; and those of one class."""
    library(place)
    shutil.rmtree(place / "cache", ignore_errors=True)
    read(place / "a.parquet")


def read(source: Path) -> None:
    """Open all images, and those of one class."""
    check(Examples(hub(id=source)).fetch(torch.tensor([0])))
    check(Examples(hub(id=source, classes=("dog",))).fetch(torch.tensor([0])))


def saved(name: str, place: Path) -> list[bytes]:
    """The rows as a folder of `save_to_disk`, and one of its files."""
    rows(place).save_to_disk(str(place / "saved"))
    return [(place / "saved" / name).read_bytes()]


def read_saved(place: Path) -> None:
    """Open the folder."""
    library(place)
    read(place / "saved")


FEATURES = {"picture": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
INFO = {"citation": "", "description": "", "features": FEATURES, "homepage": "", "license": ""}
STATE = {
    **{"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_fingerprint": "a", "_format_columns": None},
    **{"_format_kwargs": {}, "_format_type": None, "_output_all_columns": False, "_split": None},
}


def of_saved(name: str, made: st.SearchStrategy[bytes] | None) -> Kind:
    """One file of a folder of `save_to_disk`."""
    return Kind(
        f"saved-{Path(name).suffix[1:]}-{name.partition('.')[0].partition('-')[0]}",
        f"saved/{name}",
        lambda place: saved(name, place),
        read_saved,
        made,
        share=0.2,
        prints=True,
        package="datasets",
    )


KINDS = [
    Kind("parquet", "a.parquet", parquet, read_parquet, share=0.05, prints=True, package="datasets"),
    of_saved("data-00000-of-00001.arrow", None),
    of_saved("dataset_info.json", json_texts(INFO)),
    of_saved("state.json", json_texts(STATE)),
]
