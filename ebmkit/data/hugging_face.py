"""Data sets of the Hugging Face hub, and local files in its formats; needs the package `datasets`."""

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebmkit.data.encoded import EncodedImages, line
from ebmkit.data.images import Channels, Fit, check_fitting, existing, selected
from ebmkit.errors import UsageError, nearest

ON_THE_HUB = re.compile(r"(?!.*\.parquet$)\w[\w.-]{0,95}(/\w[\w.-]{0,95})?")
TIMEOUT = 10.0  # seconds that the hub may take for its first answer


def hub(
    *,
    id: str,
    subset: str | None = None,
    split: str = "train",
    column: str | None = None,
    labels: str = "label",
    size: int | None = None,
    fit: Fit = "pad",
    channels: Channels | None = None,
    classes: tuple[str, ...] | None = None,
    limit: int | None = None,
) -> EncodedImages:
    """Images of the Hugging Face hub, or local ones: parquet, a save_to_disk folder, an imagefolder; needs `datasets`.

    What is local is never looked up on the hub. The images are kept in the cache of `datasets` and mapped from there.

    Args:
        id: Name on the hub, like uoft-cs/cifar10; or a .parquet file, or a folder.
        subset: The hub's name of a part, for data sets that have several; none takes the only one.
        split: The split, by its name.
        column: The column of the images; none takes the only one of that type.
        labels: The column of the classes; only needed with classes.
        size: Side of the square images are fitted to; none keeps their size, which must be the same for all.
        fit: Smaller images are centred on black (pad), or all are cropped to a centred square and scaled (resize).
        channels: 1 turns colours to grey, 3 repeats grey; none keeps the channels, which must be the same for all.
        classes: Keep only images of these classes, by their names where they have some; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if `datasets` is not installed, the data set, split or column cannot be had, or an image is broken.
    """
    check_fitting(size, fit, channels)
    library = package("datasets")
    rows = load(library, id, subset, split)
    found = image_column(library, rows, id, column)
    marks = None if classes is None else named(library, rows, id, labels)
    indices = selected(len(rows), marks, classes, limit)
    try:
        # A column of bytes or paths becomes one of images too, where the user names it.
        images = rows.select_columns([found]).cast_column(found, library.Image(decode=False)).select(indices)
    except Exception as error:  # a failed cast raises many kinds, and none is ours
        raise UsageError(f"the column '{found}' of {id} holds no images: {line(error)}") from error
    return EncodedImages(images, found, indices, size=size, fit=fit, channels=channels)


def package(name: str) -> Any:
    """A package of the extra `hub`, imported now.

    Raises:
        UsageError: if it does not import, with what to type.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"hub needs the package {name} ({line(error)}): pip install 'shortrun-ebmkit[hub]'") from error


def load(library: Any, id: str, subset: str | None, split: str) -> Any:
    """The rows of a split, mapped from disk: a `datasets.Dataset`.

    Raises:
        UsageError: if there is no such file, data set or split, or the hub cannot be reached.
    """
    offline = library.config.HF_HUB_OFFLINE
    if not ON_THE_HUB.fullmatch(id) or Path(id).exists():
        id = str(existing(id))
    elif not offline:
        ask_the_hub(id)
    here = Path(id)
    saved = (here / "state.json").is_file() or (here / "dataset_dict.json").is_file()
    if here.is_file() and here.suffix != ".parquet":
        raise UsageError(f"{id} is a file: expected a .parquet file, a folder, or a name on the hub")
    if subset is not None and (saved or here.is_file()):
        raise UsageError(f"{id} has no subsets: leave out subset")
    try:
        if saved:
            rows = library.load_from_disk(id)
            splits = rows if isinstance(rows, library.DatasetDict) else {rows.split or "train": rows}
            return splits[known("split", split, splits, id)]
        if here.is_file():
            builder = library.load_dataset_builder("parquet", data_files=id)
        else:
            builder = library.load_dataset_builder(id, subset)
        known("split", split, builder.config.data_files or builder.info.splits, id)
        builder.download_and_prepare()
        return builder.as_dataset(split)
    except UsageError:
        raise
    except Exception as error:  # what the package raises is of many kinds, and none is ours
        only = "; HF_HUB_OFFLINE is set: only what was downloaded before can be had" if offline else ""
        raise UsageError(f"cannot load {id}: {line(error.__cause__ or error)}{only}") from error


def ask_the_hub(id: str) -> None:
    """Raise UsageError unless the hub answers in time and has this data set: the package itself waits for minutes."""
    client = package("huggingface_hub")
    try:
        client.HfApi().dataset_info(id, timeout=TIMEOUT)
    except client.errors.GatedRepoError as error:
        raise UsageError(f"'{id}' must be asked for on its page of the hub; then type: hf auth login") from error
    except client.errors.RepositoryNotFoundError as error:
        raise UsageError(
            f"no data set '{id}' on the hub, and no such file or folder here: mistyped, or private (hf auth login)?"
        ) from error
    except Exception as error:  # the kinds of a failed connection change with the client's version
        raise UsageError(
            f"no file or folder '{id}' here, and the hub cannot be asked ({line(error)}): what was downloaded before "
            "is used with HF_HUB_OFFLINE=1"
        ) from error


def image_column(library: Any, rows: Any, id: str, column: str | None) -> str:
    """The column of the images: the one asked for, else the only one of that type."""
    if column is not None:
        return known("column", column, rows.features, id)
    images = [name for name, feature in rows.features.items() if isinstance(feature, library.Image)]
    if len(images) != 1:
        count, columns = "several columns" if images else "no column", ", ".join(images or rows.features)
        raise UsageError(f"{id} has {count} of images: choose one of {columns} with -s data.column=...")
    return str(images[0])


def named(library: Any, rows: Any, id: str, labels: str) -> NDArray[np.str_]:
    """The class of each row by its name, `(N,)`; an unlabelled row has the empty name."""
    column = rows.with_format("numpy")[known("column", labels, rows.features, id)][:]
    if isinstance(feature := rows.features[labels], library.ClassLabel):
        column = np.array([*feature.names, ""])[column]
    return np.asarray(column).astype(str)


def known(what: str, word: str, words: Iterable[Any], id: str) -> str:
    """`word`, where it is one of `words`; else a UsageError with the nearest."""
    names = [str(name) for name in words]
    if word not in names:
        raise UsageError(f"{id} has no {what} '{word}'.{nearest(word, names)} It has: {', '.join(names)}")
    return word
