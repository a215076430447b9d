"""Data sets of the hub and of its formats, images in rows."""

import http.server
import importlib
import io
import json
import shutil
import struct
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ebmkit.data.encoded import EncodedImages
from ebmkit.data.examples import Examples
from ebmkit.data.hugging_face import ask_the_hub, hub
from ebmkit.errors import UsageError
from ebmkit.testing.conform import check_dataset

SHARED = Path(__file__).parents[2] / "shared" / "data" / "cifar10-jpeg"
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 7, 3), dtype=np.uint8)
NAMES = ["cat", "dog", "owl"]


def encoded(pixels, format="png", mode=None, **options):
    image, file = Image.fromarray(pixels), io.BytesIO()
    image.convert(mode or image.mode).save(file, format, **options)
    return file.getvalue()


def expected(pixels):
    values = torch.from_numpy(np.array(pixels)) / 127.5 - 1
    return values[None] if values.ndim == 2 else values.movedim(2, 0)


def refused(match, make=hub, **wrong):
    with pytest.raises(UsageError, match=match) as error:
        make(**wrong)
    assert "\n" not in str(error.value)


class Rows(list):
    """As much of a `datasets.Dataset` as is asked for, so that these tests need none."""

    def iter(self, size):
        for start in range(0, len(self), size):
            yield {"image": [row["image"] for row in self[start : start + size]]}


def images(*contents, size=None, fit="pad", channels=None, paths=None):
    paths = paths or [None] * len(contents)
    rows = Rows({"image": {"bytes": content, "path": path}} for content, path in zip(contents, paths, strict=True))
    return EncodedImages(rows, "image", np.arange(10, 10 + len(rows)), size=size, fit=fit, channels=channels)


def test_rows_are_decoded_to_their_very_pixels():
    source = images(*map(encoded, PIXELS))
    assert Examples(source).shape == (3, 8, 7)
    for image, pixels in zip(source, PIXELS, strict=False):
        assert torch.equal(image, expected(pixels))


def test_a_row_may_point_to_its_file(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(PIXELS[0]))
    assert torch.equal(images(None, paths=[str(tmp_path / "a.png")])[0], expected(PIXELS[0]))
    refused(r"image 10 \(.*b\.png\): FileNotFoundError", lambda: images(None, paths=[str(tmp_path / "b.png")]))


def test_a_file_that_is_gone_when_it_is_needed_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(PIXELS[0]))
    source = images(encoded(PIXELS[1]), None, paths=[None, str(tmp_path / "a.png")])
    (tmp_path / "a.png").unlink()
    refused(r"cannot read image 11 \(.*a\.png\): FileNotFoundError", lambda: source[1])


def test_rows_are_fitted_and_coloured():
    contents = [encoded(PIXELS[0], mode="L"), encoded(PIXELS[1, :5])]
    for fit, size in (("pad", 9), ("resize", 4)):
        for channels in (1, 3):
            batch = Examples(images(*contents, size=size, fit=fit, channels=channels)).fetch(torch.arange(2))
            assert batch.shape == (2, channels, size, size)
    assert images(encoded(PIXELS[0]), size=10)[0][:, 0].eq(-1).all()


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3)])
def test_every_mode_of_a_white_row_is_white(mode, channels):
    content = encoded(np.full((2, 3, 3), 255, np.uint8), mode=mode)
    assert torch.equal(images(content)[0], torch.ones(channels, 2, 3))


def test_transparency_in_rows_is_laid_on_black():
    alpha = np.array([[0, 128], [255, 0]], np.uint8)
    image = images(encoded(np.dstack([np.full((2, 2, 3), 200, np.uint8), alpha])))[0]
    assert ((image + 1) * 127.5).round().tolist() == [[[0, 100], [200, 0]]] * 3


def test_photographs_in_rows_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    source = images(encoded(PIXELS[0], exif=exif), encoded(np.rot90(PIXELS[0], -1)))
    assert torch.equal(source[0], source[1])


def test_rows_that_differ_are_refused_by_their_numbers():
    small, grey = encoded(PIXELS[0, :5]), encoded(PIXELS[0], mode="L")
    whole = encoded(PIXELS[0])
    refused(r"image 12 is 5x7 but the first is 8x7 .*-s data\.size=32", lambda: images(whole, whole, small))
    refused(r"image 11 is 8x7, larger than size 7: .*fit=resize", lambda: images(small, whole, size=7))
    refused(
        r"image 11 \(g\.png\) has 1 channels but the first has 3: .*-s data\.channels",
        lambda: images(whole, grey, paths=[None, "g.png"]),
    )
    floats = encoded(np.zeros((2, 2), np.float32), "tiff")
    refused("image 10 is of mode F: expected grey", lambda: images(floats))


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff", "webp"])
def test_a_row_cut_short_is_named_when_the_data_are_built(format):
    whole = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), format)
    assert len(images(whole, whole)) == 2
    refused("cannot read image 11: .*; mend it or take it out", lambda: images(whole, whole[: len(whole) // 2]))


@pytest.mark.parametrize("content", [b"", b"no image", encoded(PIXELS[0])[:6]])
def test_a_row_that_is_no_image_is_named(content):
    refused("cannot read image 11: it is no kind of image that is known", lambda: images(encoded(PIXELS[0]), content))


@pytest.mark.parametrize(
    "kind", [OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError]
)
def test_whatever_goes_wrong_in_reading_a_row_is_told_with_its_name(monkeypatch, kind):
    def broken(file):
        raise kind("two\nlines")

    monkeypatch.setattr(Image, "open", broken)
    refused("cannot read image 10: .*two lines; mend it", lambda: images(b""))


def test_a_row_of_nothing_is_named():
    refused("cannot read image 10: ValueError: the row is empty", lambda: images(None))
    rows = Rows([{"image": None}])
    refused(
        "image 0: ValueError: the row is empty",
        lambda: EncodedImages(rows, "image", np.arange(1), size=None, fit="pad", channels=None),
    )


@pytest.mark.parametrize("wrong", [{"size": 0}, {"fit": "crop"}, {"channels": 4}])
def test_bad_settings_are_refused_before_anything_is_loaded(wrong):
    refused("must be", id="nobody/nothing", **wrong)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused(r"needs the package datasets .*: pip install 'shortrun-ebmkit\[hub\]'$", id="uoft-cs/cifar10")


def test_the_package_is_imported_only_when_it_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    importlib.reload(importlib.import_module("ebmkit.data.hugging_face"))


@pytest.fixture
def library(tmp_path, monkeypatch):
    """The package, writing to a cache of this test's."""
    library = pytest.importorskip("datasets")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.builder.config.HF_DATASETS_CACHE", tmp_path / "cache")
    library.disable_progress_bars()
    return library


@pytest.fixture
def rows(library):
    """Six labelled images, the last without a label."""
    features = library.Features({"picture": library.Image(), "label": library.ClassLabel(names=NAMES)})
    table = {"picture": [{"bytes": encoded(one), "path": None} for one in PIXELS], "label": [0, 1, 2, 0, 1, -1]}
    return library.Dataset.from_dict(table, features=features)


@pytest.fixture
def parquet(rows, tmp_path):
    path = tmp_path / "rows.parquet"
    rows.to_parquet(path)
    return str(path)


def everything(source):
    examples = Examples(source)
    return examples.fetch(torch.arange(len(examples)))


ALL = torch.stack([expected(pixels) for pixels in PIXELS])


def test_a_parquet_file_is_read_and_mapped(parquet):
    source = hub(id=parquet)
    assert torch.equal(everything(source), ALL)
    assert source.rows.cache_files[0]["filename"].endswith(".arrow")


def test_it_conforms(parquet):
    check_dataset(hub, id=parquet, limit=4)


def test_a_folder_of_parquet_files_has_splits_by_their_names(rows, tmp_path):
    (tmp_path / "mine").mkdir()
    rows.select(range(4)).to_parquet(tmp_path / "mine" / "train.parquet")
    rows.select(range(4, 6)).to_parquet(tmp_path / "mine" / "test.parquet")
    place = str(tmp_path / "mine")
    assert torch.equal(everything(hub(id=place)), ALL[:4])
    assert torch.equal(everything(hub(id=place, split="test")), ALL[4:])
    refused("has no split 'tset'. Did you mean 'test'. It has: train, test", id=place, split="tset")


def test_a_folder_of_save_to_disk_is_read_with_and_without_splits(library, rows, tmp_path):
    rows.save_to_disk(tmp_path / "one")
    assert torch.equal(everything(hub(id=str(tmp_path / "one"))), ALL)
    refused("no split 'test'.* It has: train", id=str(tmp_path / "one"), split="test")
    test = library.Dataset(rows.data, info=rows.info, split="test")
    test.save_to_disk(tmp_path / "test")
    assert torch.equal(everything(hub(id=str(tmp_path / "test"), split="test")), ALL)
    refused("no split 'train'.* It has: test", id=str(tmp_path / "test"))
    library.DatasetDict({"a": rows.select([0]), "b": rows.select([1])}).save_to_disk(tmp_path / "both")
    assert torch.equal(everything(hub(id=str(tmp_path / "both"), split="b")), ALL[1:2])
    refused("It has: a, b", id=str(tmp_path / "both"))


def test_an_imagefolder_is_read_and_its_classes_are_folders(library, tmp_path):
    for name, pixels in zip(["cat", "dog", "cat"], PIXELS, strict=False):
        place = tmp_path / "pets" / "train" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{len(list(place.iterdir()))}.png").write_bytes(encoded(pixels))
    assert len(hub(id=str(tmp_path / "pets"))) == 3
    assert torch.equal(everything(hub(id=str(tmp_path / "pets"), classes=("dog",))), ALL[1:2])
    (tmp_path / "pets" / "train" / "dog" / "0.png").write_bytes(b"broken")
    refused(r"cannot read image 2 \(.*dog.0\.png\)", id=str(tmp_path / "pets"))


def test_rows_are_selected_by_the_names_of_their_classes(parquet):
    assert torch.equal(everything(hub(id=parquet, classes=("cat",))), ALL[[0, 3]])
    assert hub(id=parquet, classes=("dog", "owl")).numbers.tolist() == [1, 2, 4]
    refused("classes asks for cow; the data has .*cat, dog, owl", id=parquet, classes=("cow",))
    refused("no column 'lable'. Did you mean 'label'", id=parquet, classes=("cat",), labels="lable")


def test_plain_labels_are_named_by_their_numbers(library, rows, tmp_path):
    plain = rows.cast_column("label", library.Value("int64"))
    plain.to_parquet(tmp_path / "plain.parquet")
    assert torch.equal(everything(hub(id=str(tmp_path / "plain.parquet"), classes=("2",))), ALL[2:3])


def test_a_limit_is_a_fixed_random_choice_and_only_what_is_kept_must_be_good(rows, library, tmp_path, parquet):
    numbers = hub(id=parquet, limit=3).numbers
    assert len(numbers) == 3
    assert torch.equal(everything(hub(id=parquet, limit=3)), ALL[numbers])
    bad = rows.cast_column("picture", library.Image(decode=False)).to_list()
    for number in set(range(6)) - set(numbers.tolist()):
        bad[number]["picture"]["bytes"] = b"broken"
    library.Dataset.from_list(bad, features=rows.features).save_to_disk(tmp_path / "bad")
    assert torch.equal(everything(hub(id=str(tmp_path / "bad"), limit=3)), ALL[numbers])
    refused("cannot read image", id=str(tmp_path / "bad"))


def test_the_only_column_of_images_is_found_and_others_are_named(library, rows, parquet, tmp_path):
    plain = [{**row, "other": row["picture"]} for row in rows.cast_column("picture", library.Image(decode=False))]
    features = library.Features({**rows.features, "other": library.Image()})
    library.Dataset.from_list(plain, features=features).to_parquet(tmp_path / "two.parquet")
    path = str(tmp_path / "two.parquet")
    refused("several columns of images: choose one of picture, other with -s data.column=", id=path)
    assert torch.equal(everything(hub(id=path, column="other")), ALL)
    refused("no column 'pictur'. Did you mean 'picture'. It has: picture, label", id=parquet, column="pictur")
    refused("the column 'label' of .* holds no images", id=parquet, column="label")
    rows.remove_columns("picture").to_parquet(tmp_path / "none.parquet")
    refused("no column of images: choose one of label", id=str(tmp_path / "none.parquet"))


def test_a_column_of_bytes_is_one_of_images_where_it_is_named(library, tmp_path):
    library.Dataset.from_dict({"raw": [encoded(one) for one in PIXELS]}).to_parquet(tmp_path / "raw.parquet")
    path = str(tmp_path / "raw.parquet")
    refused("no column of images: choose one of raw", id=path)
    assert torch.equal(everything(hub(id=path, column="raw")), ALL)


def test_files_that_cannot_be_read_are_refused(library, parquet, tmp_path):
    refused("no such file: .*row.parquet. Did you mean 'rows.parquet'", id=str(tmp_path / "row.parquet"))
    refused("no such file: row.parquet", id="row.parquet")
    refused("no such file: a/b/c", id="a/b/c")
    (tmp_path / "short.parquet").write_bytes(Path(parquet).read_bytes()[:-50])
    refused("cannot load .*short.parquet: Arrow", id=str(tmp_path / "short.parquet"))
    pages = bytearray(Path(parquet).read_bytes())
    pages[4:400] = bytes(396)
    (tmp_path / "holes.parquet").write_bytes(pages)
    refused("cannot load .*holes.parquet: OSError", id=str(tmp_path / "holes.parquet"))
    (tmp_path / "nothing").mkdir()
    refused("cannot load .*nothing: EmptyDatasetError", id=str(tmp_path / "nothing"))
    (tmp_path / "a.zip").write_bytes(b"")
    refused("a.zip is a file: expected a .parquet file, a folder", id=str(tmp_path / "a.zip"))
    refused("rows.parquet has no subsets: leave out subset", id=parquet, subset="full")
    (tmp_path / "nothing" / "state.json").write_text("{}")
    refused("cannot load .*nothing: ", id=str(tmp_path / "nothing"))


def test_a_broken_image_of_a_parquet_file_is_named_by_its_number(library, rows, tmp_path):
    bad = rows.cast_column("picture", library.Image(decode=False)).to_list()
    bad[3]["picture"]["bytes"] = bad[3]["picture"]["bytes"][:60]
    library.Dataset.from_list(bad, features=rows.features).to_parquet(tmp_path / "bad.parquet")
    refused("cannot read image 3: .*; mend it", id=str(tmp_path / "bad.parquet"))
    bad[3]["picture"] = None
    library.Dataset.from_list(bad, features=rows.features).to_parquet(tmp_path / "null.parquet")
    refused("cannot read image 3: ValueError: the row is empty", id=str(tmp_path / "null.parquet"))


def test_local_data_need_no_connection_and_no_global_randomness(rows, parquet, tmp_path, monkeypatch):
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


@pytest.fixture
def answer(library, monkeypatch):
    """`answer(status, headers, wait)` starts a hub on this machine that gives nothing but that."""
    servers = []

    def answer(status, headers=(), wait=0.0):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(wait)
                self.send_response(status)
                for key, value in headers:
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(json.dumps({"id": "a/b"}).encode())

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # the client left before the answer
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        return address

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_hub_is_asked_first(answer):
    answer(200)
    ask_the_hub("a/b")


def test_an_unknown_name_on_the_hub_is_refused(answer):
    answer(404, [("X-Error-Code", "RepoNotFound")])
    refused("no data set 'a/b' on the hub, and no such file or folder here: mistyped, or private", id="a/b")


def test_a_gated_data_set_is_named_as_such(answer):
    answer(403, [("X-Error-Code", "GatedRepo")])
    refused("'a/b' must be asked for on its page of the hub; then type: hf auth login", id="a/b")


def test_a_hub_that_does_not_answer_is_not_waited_for(answer, monkeypatch):
    monkeypatch.setattr("ebmkit.data.hugging_face.TIMEOUT", 0.3)
    answer(200, wait=2.0)
    began = time.monotonic()
    refused(r"the hub cannot be asked \(ReadTimeout.*HF_HUB_OFFLINE=1", id="a/b")
    assert time.monotonic() - began < 1.5


def test_a_hub_that_is_not_there_is_told(library, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    refused(r"no file or folder 'a/b' here, and the hub cannot be asked \(ConnectError", id="a/b")


@pytest.fixture
def offline(library, monkeypatch):
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_offline_a_data_set_that_was_never_downloaded_is_refused_at_once(offline):
    began = time.monotonic()
    refused("cannot load a/b: .*; HF_HUB_OFFLINE is set: only what was downloaded before can be had", id="a/b")
    assert time.monotonic() - began < 2


def test_offline_what_was_downloaded_before_is_used(offline, library, rows, tmp_path):
    (tmp_path / "b").mkdir()
    rows.to_parquet(tmp_path / "b" / "train.parquet")
    hub(id=str(tmp_path / "b"))
    # What the cache would look like, had the folder been the hub's.
    shutil.move(tmp_path / "cache" / "b", tmp_path / "cache" / "a___b")
    assert torch.equal(everything(hub(id="a/b")), ALL)
    refused("a/b has no split 'test'.* It has: train", id="a/b", split="test")


def test_cifar_is_read_from_its_parquet_files(library):
    if not SHARED.exists():
        pytest.skip("this test needs ../shared/data/cifar10-jpeg")
    source = hub(id=str(SHARED), split="test", classes=("cat",), limit=200)
    assert Examples(source).shape == (3, 32, 32)
    batch = everything(source)
    assert len(batch) == 200
    assert batch.min() < -0.9
    assert batch.max() > 0.9
