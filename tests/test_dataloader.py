"""Our data sets in torch's own tools: DataLoader, its workers and samplers, and pickled for another process."""

import pickle

import numpy as np
import pytest
import torch
from image_data import everything, write
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    DistributedSampler,
    SequentialSampler,
    Subset,
    random_split,
)

from ebmkit.data import Examples, arrays, digits, folder, idx, shapes
from ebmkit.data.mapped import where
from ebmkit.errors import UsageError

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 6, 5), dtype=np.uint8)


@pytest.fixture
def npy(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    return tmp_path / "a.npy"


@pytest.fixture(params=["arrays", "folder", "digits", "shapes", "Examples", "Subset"])
def source(request, npy):
    """A data set of 12 images."""
    for number, pixels in enumerate(PIXELS):
        write(npy.parent / "images" / f"{number:02d}.png", pixels)
    made = {
        "arrays": lambda: arrays(path=npy),
        "folder": lambda: folder(path=npy.parent / "images"),
        "digits": lambda: digits(limit=12),
        "shapes": lambda: shapes(size=8, count=12),
        "Examples": lambda: Examples(arrays(path=npy)),
        "Subset": lambda: Subset(arrays(path=npy), range(12)),
    }
    return made[request.param]()


def test_a_loader_gives_the_same_examples_in_batches(source):
    batches = list(DataLoader(source, batch_size=5))
    assert [len(batch) for batch in batches] == [5, 5, 2]
    assert torch.equal(torch.cat(batches), everything(source))


def test_samplers_choose_the_same_examples(source):
    whole = everything(source)
    by_batch = DataLoader(source, batch_sampler=BatchSampler(SequentialSampler(source), 4, drop_last=False))
    assert torch.equal(torch.cat(list(by_batch)), whole)
    for rank in range(2):
        mine = DistributedSampler(source, num_replicas=2, rank=rank, shuffle=False)
        assert torch.equal(torch.cat(list(DataLoader(source, batch_size=4, sampler=mine))), whole[rank::2])


def test_parts_and_joins_of_data_sets_are_loaded(npy):
    images = arrays(path=npy)
    one, two = random_split(images, [8, 4], torch.Generator().manual_seed(0))
    whole = torch.cat(list(DataLoader(ConcatDataset([one, two]), batch_size=5)))
    assert torch.equal(whole, everything(images)[one.indices + two.indices])
    assert torch.equal(everything(one), everything(images)[one.indices])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_read_the_same_examples(npy, context):
    images = arrays(path=npy, channels=3)
    loader = DataLoader(images, batch_size=6, num_workers=1, multiprocessing_context=context)
    assert torch.equal(torch.cat(list(loader)), everything(images))


def test_a_pickled_data_set_is_the_same(source):
    assert torch.equal(everything(pickle.loads(pickle.dumps(source))), everything(source))


def test_a_mapped_array_is_pickled_as_its_file(npy):
    images = arrays(path=npy)
    content = pickle.dumps(images)
    assert PIXELS.tobytes()[:50] not in content
    assert isinstance(pickle.loads(content).pixels, np.memmap)
    again = pickle.loads(pickle.dumps(pickle.loads(content)))
    assert torch.equal(everything(again), everything(images))


def test_transposed_images_of_an_idx_file_are_pickled(tmp_path):
    header = bytes([0, 0, 8, 3]) + np.array(PIXELS.shape, ">u4").tobytes()
    (tmp_path / "a").write_bytes(header + PIXELS.tobytes())
    images = idx(path=tmp_path / "a", transpose=True)
    assert torch.equal(everything(pickle.loads(pickle.dumps(images))), everything(images))
    assert len(pickle.dumps(images)) < 1500


@pytest.mark.parametrize("part", [np.s_[:], np.s_[3:], np.s_[::-1], np.s_[2:9:3], np.s_[:, 1:, ::2]])
@pytest.mark.parametrize("order", ["C", "F"])
def test_parts_of_a_mapped_array_are_found_in_its_file(tmp_path, part, order):
    np.save(tmp_path / "a.npy", np.asarray(PIXELS.astype(">f4"), order=order))
    array = np.load(tmp_path / "a.npy", mmap_mode="r")[part]
    assert np.array_equal(where(array).open(), array)


def test_a_part_far_into_a_file_is_found(tmp_path):
    values = np.arange(100_000) % 251
    values.astype(np.uint8).tofile(tmp_path / "a")
    array = np.memmap(tmp_path / "a", np.uint8, "r", offset=50_000)[10:]
    assert np.array_equal(where(array).open(), values[50_010:])


def test_a_file_that_became_too_short_is_refused(npy):
    place = where(arrays(path=npy).pixels)
    npy.write_bytes(npy.read_bytes()[:-1])
    with pytest.raises(UsageError, match="has become too short since it was opened"):
        place.open()


def test_arrays_in_memory_are_pickled_whole(npy):
    assert where(PIXELS) is None
    assert where(np.load(npy, mmap_mode="r").copy()) is None
    assert where(np.load(npy, mmap_mode="r") + 1) is None


def test_an_index_that_is_a_list_is_refused(npy):
    # It gave rows of one image in place of images.
    with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
        arrays(path=npy)[[0, 1]]


def test_examples_are_a_sequence(npy):
    examples = Examples(arrays(path=npy))
    assert torch.equal(examples[-1], examples[11])
    assert len(list(examples)) == 12
    with pytest.raises(IndexError, match="no example 12: the data have 12"):
        examples[12]
