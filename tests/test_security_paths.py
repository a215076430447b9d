"""What is read names no path that is followed unseen, and nothing is written through a link out of a folder."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import invoked, train
from image_data import encoded, refused
from studies import small

from ebmkit.data.encoded import ImageRows
from ebmkit.data.hub import folders_of
from ebmkit.errors import UsageError
from ebmkit.runs.training import resume_run
from ebmkit.study.plan import cell_name

SHORT = ("--iterations", "1", "--steps", "2", "--batch-size", "4", "--device", "cpu", "-s", "energy.width=4")
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)


@pytest.fixture
def run(empty_folder):
    """The folder of a run, and a folder outside of it."""
    Path("outside").mkdir()
    train(*SHORT, "--samples-every", "1", "--out", "a")
    return Path("a")


def moved_out(entry):
    """Put a link in place of a file or folder, to its content in `outside`."""
    entry.rename(Path("outside") / entry.name)
    entry.symlink_to(Path("../outside") / entry.name)


@pytest.mark.parametrize("name", ["samples", "metrics.jsonl", "checkpoint.pt"])
def test_a_run_is_not_resumed_through_a_link_out_of_its_folder(run, name):
    moved_out(run / name)
    before = {path: path.read_bytes() for path in Path("outside").rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=f"a/{name} is a link to .*outside/{name}, outside of its folder"):
        resume_run("a", {"train": {"iterations": 2}})
    assert {path: path.read_bytes() for path in Path("outside").rglob("*") if path.is_file()} == before


def test_links_within_the_folder_and_a_link_to_the_whole_folder_are_followed(run):
    (run / "samples").rename(run / "drawn")
    (run / "samples").symlink_to("drawn")
    Path("link").symlink_to("a")
    assert resume_run("link", {"train": {"iterations": 2}}).trainer.index == 1


@pytest.mark.parametrize("place", ["a", "a.safetensors"])
def test_samples_are_not_written_through_a_link(run, place, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    invoked("export", "a", "a.safetensors")
    Path("a/generated" if place == "a" else "a-generated").symlink_to(outside)
    _, stderr = invoked("sample", place, "-n", "2", code=2)
    assert "is a link to" in stderr
    assert stderr.count("\n") == 1
    assert not list(outside.iterdir())


def test_a_file_that_is_replaced_may_be_a_link_and_its_target_stays(run):
    Path("outside/kept").write_text("kept")
    (run / "evaluation.json").symlink_to("../outside/kept")
    invoked("evaluate", "a", "-n", "20")
    assert Path("outside/kept").read_text() == "kept"
    assert not (run / "evaluation.json").is_symlink()


def test_a_claim_is_not_written_through_a_link(empty_folder):
    study = small("s", seeds=1, vary={"sampler.steps": [2]})
    study.save()
    Path("kept").write_text("kept")
    (Path("s/claims") / study.cells[0].name).symlink_to(Path("kept").absolute())
    with pytest.raises(UsageError, match="is a link, which is not written through; remove it"):
        list(study.run())
    assert Path("kept").read_text() == "kept"


@pytest.mark.parametrize("name", ["cells", "claims", "results"])
def test_a_study_does_not_work_in_a_linked_folder(empty_folder, name):
    study = small("s", seeds=1, vary={"sampler.steps": [2]})
    study.save()
    Path("outside").mkdir()
    (Path("s") / name).rmdir()
    (Path("s") / name).symlink_to(Path("outside").absolute())
    with pytest.raises(UsageError, match=f"s/{name} is a link to"):
        list(study.run())
    assert not list(Path("outside").iterdir())


def test_a_cell_is_not_removed_or_trained_through_a_link(empty_folder):
    study = small("s", seeds=1, vary={"sampler.steps": [2]})
    study.save()
    Path("outside").mkdir()
    (Path("s/cells") / study.cells[0].name).symlink_to(Path("outside").absolute())
    with pytest.raises(UsageError, match="is a link to"):
        list(study.run())
    assert not list(Path("outside").iterdir())


def test_what_varies_in_a_study_cannot_name_a_path(empty_folder):
    for path in ("sampler.a/../../b", "sampler/../..steps", "train.seed/../.."):
        with pytest.raises(UsageError, match=r"no setting|unknown section|written section"):
            small("s", seeds=1, vary={path: [2]})
    for value in ("../../x", "/etc/x", "..", "a/b", "a\x00b"):
        name = cell_name({"path": value}, 0)
        assert Path("x", name).resolve().parent == Path("x").resolve()
        assert Path(name).name == name


class Rows(list):
    """What `ImageRows` needs of a `datasets.Dataset`."""

    def iter(self, size):
        for start in range(0, len(self), size):
            yield {"image": [row["image"] for row in self[start : start + size]]}


def table(*paths, inside):
    rows = Rows({"image": {"bytes": None, "path": str(path)}} for path in paths)
    return ImageRows(rows, "image", np.arange(len(rows)), size=None, fit="pad", channels=None, inside=inside)


def test_a_row_of_a_table_cannot_name_a_file_outside_of_its_folder(tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(encoded(PIXELS))
    inside = [tmp_path / "here"]
    assert len(table(tmp_path / "here" / "a.png", inside=inside)) == 1
    for path in (tmp_path / "there" / "a.png", tmp_path / "here" / ".." / "there" / "a.png"):
        refused("image 1 .*names a file that is not in the folder", table, inside[0] / "a.png", path, inside=inside)


def test_a_parquet_file_cannot_name_a_file_outside_of_its_folder(tmp_path, monkeypatch):
    library = pytest.importorskip("datasets")
    from hub_data import library_with_cache

    from ebmkit.data.hub import hub

    library_with_cache(tmp_path / "cache", monkeypatch)
    (tmp_path / "sent").mkdir()
    features = library.Features({"image": library.Image()})
    for name in ("sent/a.png", "b.png"):
        (tmp_path / name).write_bytes(encoded(PIXELS))
        rows = library.Dataset.from_dict({"image": [{"bytes": None, "path": str(tmp_path / name)}]})
        rows.cast(features).to_parquet(tmp_path / "sent" / f"{Path(name).stem}.parquet", storage_options=None)
    assert len(hub(id=str(tmp_path / "sent" / "a.parquet"))) == 1
    refused("not in the folder of the data set", hub, id=str(tmp_path / "sent" / "b.parquet"))
    assert tmp_path / "sent" in folders_of(library, str(tmp_path / "sent"))


def test_data_that_the_settings_of_a_run_name_are_not_read_unsaid(empty_folder):
    np.save("rows.npy", np.random.default_rng(0).uniform(-1, 1, (60, 5)).astype(np.float32))
    data = ("--energy", "mlp", "--data", "arrays", "-s", "data.path=rows.npy")
    train(*data, "--init", "data", *SHORT, "--out", "a")
    train(*data, *SHORT, "--out", "b")
    said = f"data      arrays(path={Path('rows.npy').absolute()}, fit=pad), as"
    assert f"{said} a says\n" in invoked("sample", "a", "-n", "2", "--out", "x.npy")[1]
    assert f"{said} b says\n" in invoked("evaluate", "b", "-n", "20")[1]
    assert said not in invoked("sample", "b", "-n", "2", "--out", "y.npy")[1]
    assert said not in invoked("evaluate", "b", "-n", "20", "-s", "data.path=rows.npy")[1]


@pytest.mark.skipif(os.name == "nt", reason="there are no such permissions")
def test_files_have_the_permissions_of_the_umask(empty_folder):
    old = os.umask(0o027)
    try:
        train(*SHORT, "--samples-every", "1", "--out", "a")
    finally:
        os.umask(old)
    for path in [Path("a"), *Path("a").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o750 if path.is_dir() else 0o640), path
    assert not [path for path in Path().rglob("*") if path.name.startswith(".new-")]
    assert torch.load("a/checkpoint.pt", weights_only=True)["format"] == 2
