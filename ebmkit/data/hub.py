"""Data sets of the Hugging Face hub, and local files in its formats; needs the package `datasets`."""

import importlib
import os
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebmkit.data.encoded import ImageRows
from ebmkit.data.images import Channels, Fit, check_fitting, selected
from ebmkit.data.labels import Marks
from ebmkit.data.paths import existing
from ebmkit.data.signatures import kind_of
from ebmkit.errors import UsageError, kind_and_message, listed, nearest

ON_THE_HUB = re.compile(r"(?!.*\.parquet$)\w[\w.-]{0,95}(/\w[\w.-]{0,95})?")
TIMEOUT = 10.0  # seconds until the hub must have answered


def hub(
    *,
    id: Path | str,
    subset: str | None = None,
    split: str = "train",
    column: str | None = None,
    labels: str = "label",
    size: int | None = None,
    fit: Fit = "pad",
    channels: Channels | None = None,
    classes: tuple[str, ...] | None = None,
    limit: int | None = None,
) -> ImageRows:
    """Images of the Hugging Face hub, or local ones: parquet, a save_to_disk folder, an imagefolder; needs `datasets`.

    A file or folder of that name is used where there is one, and the hub is not asked. Rows may name image files in the
    same folder, but no others. The images are kept in the cache
    of `datasets` and mapped from there.

    Args:
        id: Name on the hub, like uoft-cs/cifar10; or a .parquet file, or a folder.
        subset: The hub's name of a part, for data sets that have several; none selects the only one.
        split: Name of the split.
        column: The column of the images; none selects the only one of that type.
        labels: The column of the classes, where they are needed.
        size: Side of the square images are fitted to; none keeps their size, which must be the same for all.
        fit: Smaller images are centred on black (pad), or all are cropped to a centred square and scaled (resize).
        channels: 1 turns colours to grey, 3 repeats grey; none keeps the channels, which must be the same for all.
        classes: Keep only images of these classes, by their names where they have some; none keeps all.
        limit: Keep at most this many, a fixed random choice; none keeps all.

    Raises:
        UsageError: if `datasets` is not installed, the data set, split or column is missing, or an image is broken.
    """
    check_fitting(size, fit, channels)  # before anything is downloaded
    library, place = package("datasets"), str(id)
    rows = load(library, place, subset, split)
    found = image_column(library, rows, place, column)
    marks = partial(class_names, rows, place, labels)
    indices = selected(len(rows), marks, classes, limit)
    try:
        # A column of bytes or paths, if the user names it, becomes one of images too.
        plain = rows.with_format(None)  # a folder may have been saved with another format
        images = plain.select_columns([found]).cast_column(found, library.Image(decode=False)).select(indices)
    except Exception as error:  # a failed cast raises many types
        raise UsageError(f"the column '{found}' of {id} is not of images: {kind_and_message(error)}") from error
    known, places = Marks(marks, indices, len(rows)), folders_of(library, place)
    return ImageRows(images, found, indices, marks=known, size=size, fit=fit, channels=channels, inside=places)


def package(name: str) -> Any:
    """A package of the extra `hub`, imported now.

    Raises:
        UsageError: if it cannot be imported, with what to type.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        reason = kind_and_message(error)
        raise UsageError(f"hub needs the package {name} ({reason}): pip install 'shortrun-ebmkit[hub]'") from error


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
        raise UsageError(
            f"{id} is a file: expected a .parquet file, a folder, or a name on the hub{kind_of(here).advice}"
        )
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
    except Exception as error:  # the package raises many types
        only = "; HF_HUB_OFFLINE is set: only what was downloaded before is available" if offline else ""
        raise UsageError(f"cannot load {id}: {kind_and_message(error.__cause__ or error)}{only}") from error


def folders_of(library: Any, id: str) -> list[Path]:
    """The folders that rows may name files in: that of the data set, and where `datasets` keeps what it downloads."""
    here = Path(id).expanduser()
    caches = [library.config.HF_DATASETS_CACHE, package("huggingface_hub").constants.HF_HUB_CACHE]
    places = [*([here if here.is_dir() else here.parent] if here.exists() else []), *caches]
    return [Path(form(place)) for place in places for form in (os.path.abspath, os.path.realpath)]


def ask_the_hub(id: str) -> None:
    """Ask the hub whether it has a data set; the package itself would wait for minutes.

    Raises:
        UsageError: if it has none of that name, requires a permission, or does not answer in time.
    """
    client = package("huggingface_hub")
    try:
        client.HfApi().dataset_info(id, timeout=TIMEOUT)
    except client.errors.GatedRepoError as error:
        raise UsageError(
            f"'{id}' needs a permission: ask for it on its page of the hub, then type: hf auth login"
        ) from error
    except client.errors.RepositoryNotFoundError as error:
        raise UsageError(
            f"no data set '{id}' on the hub, and no such file or folder: mistyped, or private (hf auth login)?"
        ) from error
    except Exception as error:  # the types of a failed connection change with the client's version
        raise UsageError(
            f"no file or folder '{id}', and the hub cannot be asked ({kind_and_message(error)}): to use what was "
            "downloaded before, set HF_HUB_OFFLINE=1"
        ) from error


def image_column(library: Any, rows: Any, id: str, column: str | None) -> str:
    """The column of the images: the one that the user named, else the only one of that type.

    Raises:
        UsageError: if there is no such column, or the user must choose.
    """
    if column is not None:
        return known("column", column, rows.features, id)
    images = [name for name, feature in rows.features.items() if isinstance(feature, library.Image)]
    if len(images) != 1:
        count, columns = "several columns" if images else "no column", listed(images or rows.features)
        raise UsageError(f"{id} has {count} of images: choose one of {columns} with -s data.column=...")
    return str(images[0])


def class_names(rows: Any, id: str, labels: str) -> NDArray[np.str_]:
    """The class of each row by its name, `(N,)`; an unlabelled row, with -1 or nothing, has the empty name.

    Raises:
        UsageError: if there is no such column, it cannot be read, or it has a number that no class has.
    """
    place = known("column", labels, rows.features, id)
    try:
        column = np.asarray(rows.with_format("numpy")[place][:])
        if isinstance(feature := rows.features[place], package("datasets").ClassLabel):
            if column.dtype.kind == "f":  # as it is where a row has nothing
                column = np.nan_to_num(column, nan=-1).astype(np.int64)
            column = np.array([*feature.names, ""])[column]
    except Exception as error:  # pyarrow raises many types
        raise UsageError(f"cannot read the column '{labels}' of {id}: {kind_and_message(error)}") from error
    return column.astype(str)


def known(what: str, word: str, words: Iterable[Any], id: str) -> str:
    """`word`, which must be one of `words`.

    Raises:
        UsageError: if it is not, with the nearest.
    """
    names = [str(name) for name in words]
    if word not in names:
        raise UsageError(f"{id} has no {what} '{word}'.{nearest(word, names)} It has: {listed(names)}")
    return word
