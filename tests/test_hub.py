"""Local data sets in the formats of the Hugging Face hub."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import image_data
import numpy as np
import pytest
import torch
from hub_data import ALL, PIXELS, labelled_rows, library_with_cache
from image_data import encoded, everything, shared

from ebmkit.data.examples import Examples
from ebmkit.data.hub import hub
from ebmkit.testing.conform import check_dataset

refused = partial(image_data.refused, make=hub)


@pytest.mark.parametrize("wrong", [{"size": 0}, {"fit": "crop"}, {"channels": 4}])
def test_bad_settings_are_refused_before_anything_is_loaded(wrong):
    refused("must be", id="nobody/nothing", **wrong)


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused(r"needs the package datasets .*: pip install 'shortrun-ebmkit\[hub\]'$", id="uoft-cs/cifar10")


def test_the_package_is_imported_only_when_used():
    # In a process of its own: what else imports the module keeps its functions.
    script = "import sys; sys.modules['datasets'] = None; import ebmkit.data.hub"
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.fixture
def library(tmp_path, monkeypatch):
    return library_with_cache(tmp_path / "cache", monkeypatch)


@pytest.fixture
def rows(library):
    return labelled_rows(library)


@pytest.fixture
def parquet(rows, tmp_path):
    path = tmp_path / "rows.parquet"
    rows.to_parquet(path)
    return str(path)


@pytest.mark.parametrize("form", [{"type": "torch"}, {"type": "numpy", "columns": ["label"]}], ids=str)
def test_a_folder_that_was_saved_with_a_format_is_read_without_it(library, rows, tmp_path, form):
    rows.with_format(**form).save_to_disk(tmp_path / "formatted")
    assert torch.equal(everything(hub(id=tmp_path / "formatted")), ALL)
    assert len(hub(id=tmp_path / "formatted", classes=("dog",))) == 2


def test_a_parquet_file_is_memory_mapped(parquet):
    source = hub(id=parquet)
    assert torch.equal(everything(source), ALL)
    assert source.rows.cache_files[0]["filename"].endswith(".arrow")


def test_a_parquet_file_passes_the_checks_of_the_kit(parquet):
    check_dataset(hub, id=parquet, limit=4)


def test_the_names_of_parquet_files_in_a_folder_are_splits(rows, tmp_path):
    (tmp_path / "mine").mkdir()
    rows.select(range(4)).to_parquet(tmp_path / "mine" / "train.parquet")
    rows.select(range(4, 6)).to_parquet(tmp_path / "mine" / "test.parquet")
    place = str(tmp_path / "mine")
    assert torch.equal(everything(hub(id=place)), ALL[:4])
    assert torch.equal(everything(hub(id=place, split="test")), ALL[4:])
    refused("has no split 'tset'. Did you mean 'test'. It has: train, test", id=place, split="tset")


def test_a_save_to_disk_folder_is_read_with_or_without_splits(library, rows, tmp_path):
    rows.save_to_disk(tmp_path / "one")
    assert torch.equal(everything(hub(id=tmp_path / "one")), ALL)
    refused("no split 'test'.* It has: train", id=tmp_path / "one", split="test")
    test = library.Dataset(rows.data, info=rows.info, split="test")
    test.save_to_disk(tmp_path / "test")
    assert torch.equal(everything(hub(id=tmp_path / "test", split="test")), ALL)
    refused("no split 'train'.* It has: test", id=tmp_path / "test")
    library.DatasetDict({"a": rows.select([0]), "b": rows.select([1])}).save_to_disk(tmp_path / "both")
    assert torch.equal(everything(hub(id=tmp_path / "both", split="b")), ALL[1:2])
    refused("It has: a, b", id=tmp_path / "both")


def test_the_classes_of_an_imagefolder_are_its_folders(library, tmp_path):
    for name, pixels in zip(["cat", "dog", "cat"], PIXELS, strict=False):
        place = tmp_path / "pets" / "train" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{len(list(place.iterdir()))}.png").write_bytes(encoded(pixels))
    assert len(hub(id=tmp_path / "pets")) == 3
    assert torch.equal(everything(hub(id=tmp_path / "pets", classes=("dog",))), ALL[1:2])
    (tmp_path / "pets" / "train" / "dog" / "0.png").write_bytes(b"broken")
    refused(r"cannot read image 2 \(.*dog.0\.png\)", id=tmp_path / "pets")


def test_rows_are_selected_by_the_names_of_classes(parquet):
    assert torch.equal(everything(hub(id=parquet, classes=("cat",))), ALL[[0, 3]])
    assert hub(id=parquet, classes=("dog", "owl")).numbers.tolist() == [1, 2, 4]
    refused("classes asks for cow; the data have .*cat, dog, owl", id=parquet, classes=("cow",))
    refused("no column 'lable'. Did you mean 'label'", id=parquet, classes=("cat",), labels="lable")


def test_a_row_without_a_label_is_of_no_class(library, rows, tmp_path):
    table = {"picture": rows["picture"], "label": [None, 1, 2, 0, 1, -1]}
    library.Dataset.from_dict(table, features=rows.features).save_to_disk(tmp_path / "saved")
    assert len(hub(id=tmp_path / "saved", classes=("dog",))) == 2
    assert len(hub(id=tmp_path / "saved", classes=("cat",))) == 1


def test_a_label_of_no_class_is_refused(library, rows, tmp_path):
    arrow = rows.with_format("arrow")[:].set_column(1, "label", [[0, 1, 2, 7, 1, 0]])
    library.Dataset(arrow, info=rows.info).save_to_disk(tmp_path / "saved")
    refused(r"^cannot read the column 'label' of .*saved: IndexError: index 7", id=tmp_path / "saved", classes=("dog",))


def test_labels_without_names_are_selected_by_number(library, rows, tmp_path):
    plain = rows.cast_column("label", library.Value("int64"))
    plain.to_parquet(tmp_path / "plain.parquet")
    assert torch.equal(everything(hub(id=tmp_path / "plain.parquet", classes=("2",))), ALL[2:3])


def test_a_limit_is_fixed_and_only_its_rows_must_be_valid(rows, library, tmp_path, parquet):
    numbers = hub(id=parquet, limit=3).numbers
    assert len(numbers) == 3
    assert torch.equal(everything(hub(id=parquet, limit=3)), ALL[numbers])
    bad = rows.cast_column("picture", library.Image(decode=False)).to_list()
    for number in set(range(6)) - set(numbers.tolist()):
        bad[number]["picture"]["bytes"] = b"broken"
    library.Dataset.from_list(bad, features=rows.features).save_to_disk(tmp_path / "bad")
    assert torch.equal(everything(hub(id=tmp_path / "bad", limit=3)), ALL[numbers])
    refused("cannot read image", id=tmp_path / "bad")


def test_a_column_is_found_if_it_is_the_only_one_of_images(library, rows, parquet, tmp_path):
    plain = [{**row, "other": row["picture"]} for row in rows.cast_column("picture", library.Image(decode=False))]
    features = library.Features({**rows.features, "other": library.Image()})
    library.Dataset.from_list(plain, features=features).to_parquet(tmp_path / "two.parquet")
    path = str(tmp_path / "two.parquet")
    refused("several columns of images: choose one of picture, other with -s data.column=", id=path)
    assert torch.equal(everything(hub(id=path, column="other")), ALL)
    refused("no column 'pictur'. Did you mean 'picture'. It has: picture, label", id=parquet, column="pictur")
    refused("the column 'label' of .* is not of images", id=parquet, column="label")
    rows.remove_columns("picture").to_parquet(tmp_path / "none.parquet")
    refused("no column of images: choose one of label", id=tmp_path / "none.parquet")


def test_a_column_of_bytes_is_used_as_images_if_named(library, tmp_path):
    library.Dataset.from_dict({"raw": [encoded(one) for one in PIXELS]}).to_parquet(tmp_path / "raw.parquet")
    path = str(tmp_path / "raw.parquet")
    refused("no column of images: choose one of raw", id=path)
    assert torch.equal(everything(hub(id=path, column="raw")), ALL)


def test_files_that_cannot_be_read_are_refused(library, parquet, tmp_path):
    refused("no such file: .*row.parquet. Did you mean 'rows.parquet'", id=tmp_path / "row.parquet")
    refused("no such file: row.parquet", id="row.parquet")
    refused("no such file: a/b/c", id="a/b/c")
    (tmp_path / "short.parquet").write_bytes(Path(parquet).read_bytes()[:-50])
    refused("cannot load .*short.parquet: Arrow", id=tmp_path / "short.parquet")
    pages = bytearray(Path(parquet).read_bytes())
    pages[4:400] = bytes(396)
    (tmp_path / "holes.parquet").write_bytes(pages)
    refused("cannot load .*holes.parquet: OSError", id=tmp_path / "holes.parquet")
    (tmp_path / "nothing").mkdir()
    refused("cannot load .*nothing: EmptyDatasetError", id=tmp_path / "nothing")
    (tmp_path / "a.zip").write_bytes(b"")
    refused("a.zip is a file: expected a .parquet file, a folder", id=tmp_path / "a.zip")
    refused("rows.parquet has no subsets: leave out subset", id=parquet, subset="full")
    (tmp_path / "nothing" / "state.json").write_text("{}")
    refused("cannot load .*nothing: ", id=tmp_path / "nothing")


def test_a_broken_image_of_a_parquet_file_is_named(library, rows, tmp_path):
    bad = rows.cast_column("picture", library.Image(decode=False)).to_list()
    bad[3]["picture"]["bytes"] = bad[3]["picture"]["bytes"][:60]
    library.Dataset.from_list(bad, features=rows.features).to_parquet(tmp_path / "bad.parquet")
    refused("cannot read image 3: .*; repair or remove it", id=tmp_path / "bad.parquet")
    bad[3]["picture"] = None
    library.Dataset.from_list(bad, features=rows.features).to_parquet(tmp_path / "null.parquet")
    refused("cannot read image 3: ValueError: the row is empty", id=tmp_path / "null.parquet")


def test_local_data_need_no_network_or_global_randomness(rows, parquet, tmp_path, monkeypatch):
    def none(*args, **options):
        raise AssertionError("a connection was made")

    monkeypatch.setattr("socket.socket.connect", none)
    monkeypatch.setattr("socket.getaddrinfo", none)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - what must not change
    assert len(hub(id=parquet)) == 6
    rows.save_to_disk(tmp_path / "rows")
    monkeypatch.chdir(tmp_path)
    assert len(hub(id="rows")) == 6  # which could be a name on the hub
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_cifar_is_read_from_its_parquet_files(library):
    source = hub(id=shared("cifar10-jpeg"), split="test", classes=("cat",), limit=200)
    assert Examples(source).shape == (3, 32, 32)
    batch = everything(source)
    assert len(batch) == 200
    assert batch.min() < -0.9
    assert batch.max() > 0.9
