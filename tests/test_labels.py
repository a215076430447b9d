"""Labels as people store them: columns, one-hot, floats, text; and those that are not one class for each example."""

from functools import partial

import image_data
import numpy as np
import pytest

from ebmkit.data.arrays import arrays
from ebmkit.data.labels import as_classes

refused = partial(image_data.refused, make=as_classes)

CLASSES = np.array([2, 0, 1, 2, 1, 0])


@pytest.mark.parametrize(
    "labels",
    [
        CLASSES,
        CLASSES[:, None],
        CLASSES[None],
        CLASSES[:, None].astype(np.uint8),
        CLASSES.astype(np.float32),
        np.eye(3)[CLASSES],
        np.eye(3, dtype=bool)[CLASSES],
        np.eye(4, dtype=np.int64)[CLASSES],
    ],
    ids=["plain", "column", "row", "bytes", "floats", "one-hot", "one-hot-bool", "one-hot-unused"],
)
def test_labels_of_every_layout_are_read(labels):
    found = as_classes(labels, 6)
    assert found.dtype == np.int64
    assert found.tolist() == CLASSES.tolist()


@pytest.mark.parametrize(
    "labels", [np.array(["cat", "cafe\u0301"]), np.array([b"cat", b"caf\xc3\xa9"])], ids=["U", "S"]
)
def test_labels_may_be_text(labels):
    assert as_classes(labels[:, None], 2).tolist() == ["cat", "caf\u00e9"]


def test_one_example_has_one_label():
    assert as_classes(np.array([[3]]), 1).tolist() == [3]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(5), r"shape \(5,\): expected \(6,\), one for each example"),
        (np.zeros((2, 3)), r"shape \(2, 3\): expected \(6,\)"),
        (np.zeros((6, 3)), r"shape \(6, 3\) and are not one-hot: expected \(6,\)"),
        (np.ones((6, 2)), "not one-hot"),
        (np.full((6, 2), 0.5), "not one-hot"),
        (np.zeros((6, 1, 3)), r"shape \(6, 1, 3\)"),
        (np.full(6, 0.5), "of type float64: expected integers or text, one for each example"),
        (np.full(6, np.nan), "of type float64"),
        (np.zeros(6, "datetime64[s]"), "of type datetime64"),
        (np.zeros(6, complex), "of type complex128"),
        (np.array(3), r"shape \(\)"),
    ],
)
def test_labels_that_are_not_classes_are_refused(labels, message):
    refused(message, labels=labels, count=6)


@pytest.fixture
def npz(tmp_path):
    pixels = np.arange(6 * 9, dtype=np.uint8).reshape(6, 3, 3)
    names = np.array(["owl", "cat", "e\u0301mu"])[CLASSES]
    np.savez(tmp_path / "a.npz", images=pixels, column=CLASSES[:, None], hot=np.eye(3)[CLASSES], names=names)
    return tmp_path / "a.npz"


@pytest.mark.parametrize("labels", ["column", "hot"])
def test_classes_of_arrays_go_by_such_labels(npz, labels):
    assert arrays(path=npz, labels=labels, classes=(1, 2)).indices.tolist() == [0, 2, 3, 4]


def test_classes_of_arrays_may_be_text(npz):
    assert arrays(path=npz, labels="names", classes=("cat", "\u00e9mu")).indices.tolist() == [0, 2, 3, 4]
    image_data.refused(
        "classes asks for dog; the data have cat, owl, ", arrays, path=npz, labels="names", classes=("dog",)
    )


def test_labels_are_found_with_accents_composed_otherwise(tmp_path):
    pixels = np.zeros((6, 3, 3), np.uint8)
    np.savez(tmp_path / "a.npz", **{"bilder": pixels, "e\u0301tiquettes": CLASSES})
    assert len(arrays(path=tmp_path / "a.npz", labels="\u00e9tiquettes", classes=(1,))) == 2


def test_classes_that_look_like_numbers_match_text(npz, tmp_path):
    np.save(tmp_path / "labels.npy", CLASSES.astype(str))
    found = arrays(path=npz, key="images", labels=tmp_path / "labels.npy", classes=(2,))
    assert found.indices.tolist() == [0, 3]


def test_the_message_of_many_classes_stays_short(npz, tmp_path):
    pixels = np.zeros((3000, 2, 2), np.uint8)
    np.savez(tmp_path / "many.npz", images=pixels, y=np.arange(3000))
    with pytest.raises(ValueError, match=r"asks for -1; the data have 0, 1, 2, .* and \d+ more$") as error:
        arrays(path=tmp_path / "many.npz", labels="y", classes=(-1,))
    assert len(str(error.value)) < 300
