"""Damaged checkpoints and model files are found, and of a run the checkpoint before is taken."""

import random
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from commands import invoked, result_of
from diverging_runs import toy
from training_runs import assert_same_run, same

import ebmkit
from ebmkit.errors import Notice, UsageError
from ebmkit.evaluation.training_curves import read_metrics
from ebmkit.files import stamp
from ebmkit.runs.checkpoint import Damaged, read_checkpoint
from ebmkit.runs.model import read_model
from ebmkit.runs.model_file import read_model_file, write_model_file
from ebmkit.runs.newest import DAMAGED
from ebmkit.runs.training import new_run, resume_run

pytestmark = pytest.mark.usefixtures("built_in_parts_only")
NEWEST, PREVIOUS, BEFORE = "checkpoint.pt", "checkpoint-previous.pt", "checkpoint-before.pt"
SETTINGS = {"train.iterations": "5", "watch.checkpoints.every": "2"}
# Updates are saved after 1, 2, 4 and 5.
WORDS = "checkpoint.pt cannot be read: truncated, damaged, or no checkpoint of tensors"


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The folder of a run of 5 updates, which was not disturbed."""
    place = tmp_path_factory.mktemp("runs") / "straight"
    list(new_run(toy(SETTINGS), place).train())
    return place


@pytest.fixture
def run(straight, tmp_path):
    """A copy of this folder, which is the current one; its earlier checkpoints are still links."""
    shutil.copytree(straight, tmp_path / "a")
    return tmp_path / "a"


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Flip one bit of a file, which is written again, so that its links are as they were."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.unlink()
    path.write_bytes(content)


def spoil(path: Path) -> None:
    """Flip a bit in the middle of the largest tensor of a checkpoint."""
    with zipfile.ZipFile(path) as parts:
        starts = sorted(part.header_offset for part in parts.infolist())
        largest = max(parts.infolist(), key=lambda part: part.file_size).header_offset
    flip(path, (largest + starts[starts.index(largest) + 1]) // 2)


def test_torch_does_not_see_what_the_checksums_show(run):
    expected = torch.load(run / NEWEST, weights_only=True)
    spoil(run / NEWEST)
    assert not same(torch.load(run / NEWEST, weights_only=True), expected)
    with pytest.raises(Damaged, match=rf"{WORDS} \(.*the checksum of .*/data/[0-9]+ is wrong\)$"):
        read_checkpoint(run)


def test_a_flipped_bit_is_found_wherever_it_is(run):
    """Or it is where it changes nothing, as in the padding between two tensors."""
    content, expected = (run / NEWEST).read_bytes(), vars(read_checkpoint(run))
    drawn, found = random.Random(0), 0
    for place in drawn.sample(range(len(content)), 150):
        flip(run / NEWEST, place, drawn.randrange(8))
        try:
            assert same(vars(read_checkpoint(run)), expected)
        except Damaged:
            found += 1
        (run / NEWEST).write_bytes(content)
    assert found > 75


def test_a_flipped_bit_in_the_name_of_a_type_is_damage(run):
    flip(run / NEWEST, (run / NEWEST).read_bytes().index(b"FloatStorage"))
    with pytest.raises(Damaged, match=WORDS):
        read_checkpoint(run)


@pytest.mark.parametrize("end", ["zeros", "cut"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_zeros_and_a_missing_end_are_found(run, share, end):
    content = (run / NEWEST).read_bytes()
    kept = int(share * len(content))
    (run / NEWEST).write_bytes(content[:kept] + (bytes(len(content) - kept) if end == "zeros" else b""))
    with pytest.raises(Damaged, match=WORDS):
        read_checkpoint(run)


def test_checksums_are_written_whatever_the_program_has_set(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        list(new_run(toy({"train.iterations": "1"}), tmp_path / "a").train())
        assert not torch.serialization.get_crc32_options()
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint(tmp_path / "a").updates == 1


def test_the_one_before_is_kept_and_is_not_the_newest(run):
    assert [read_checkpoint(run, name).updates for name in (NEWEST, PREVIOUS)] == [5, 4]


def test_without_hard_links_the_one_before_is_kept_too(tmp_path, monkeypatch):
    monkeypatch.setattr("os.link", lambda *paths: (_ for _ in ()).throw(PermissionError(1, "no links")))
    list(new_run(toy(SETTINGS), tmp_path / "a").train())
    assert [read_checkpoint(tmp_path / "a", name).updates for name in (NEWEST, PREVIOUS)] == [5, 4]


@pytest.mark.parametrize("harm", [spoil, Path.unlink], ids=["damaged", "missing"])
def test_a_run_goes_on_from_the_one_before_to_the_same_end(run, straight, harm):
    harm(run / NEWEST)
    there = (run / NEWEST).read_bytes() if (run / NEWEST).exists() else None
    with pytest.warns(Notice, match=rf"; {run / PREVIOUS} is used, of update 4, without the last update$"):
        resumed = resume_run(run)
    assert resumed.trainer.index == 4
    list(resumed.train())
    assert_same_run(run, straight)
    assert (run / DAMAGED).exists() == (there is not None)
    if there is not None:
        assert (run / DAMAGED).read_bytes() == there
    assert read_checkpoint(run, PREVIOUS).updates == 4


def test_what_a_killed_process_left_half_written_is_removed(run):
    for name, file in ((".new-a", NEWEST), (".new-b", PREVIOUS), (".new-c", "report.html")):
        (run / name).mkdir()
        (run / name / file).write_text("half")
    resumed = resume_run(run, {"train": {"iterations": 6}})
    assert len(list(run.glob(".new-*"))) == 3
    list(resumed.train())
    assert [path.name for path in run.glob(".new-*")] == [".new-c"]


def test_a_damaged_checkpoint_is_never_kept_as_the_one_before(run):
    spoil(run / NEWEST)
    with pytest.warns(Notice):
        updates = resume_run(run, {"train": {"iterations": 9}}).train()
    assert [read_checkpoint(run, name).updates for name in (NEWEST, PREVIOUS)] == [4, 4]
    next(updates)
    next(updates)
    assert [read_checkpoint(run, name).updates for name in (NEWEST, PREVIOUS)] == [6, 4]


def test_looking_at_a_damaged_run_changes_nothing(run):
    spoil(run / NEWEST)
    before = {path: stamp(path) for path in run.rglob("*")}
    with pytest.warns(Notice):
        resume_run(run)
    with pytest.warns(Notice):
        ebmkit.load(run)
    assert {path: stamp(path) for path in run.rglob("*")} == before


@pytest.mark.usefixtures("empty_folder")
@pytest.mark.parametrize(
    "words",
    [
        ("sample", "a", "-n", 4),
        ("evaluate", "a", "-n", 20),
        ("report", "a", "--updates", "1"),
        ("export", "a", "a.safetensors"),
        ("train", "--from", "a", "--out", "b", "-s", "train.iterations=1"),
        ("train", "--resume", "a"),
    ],
    ids=lambda words: words[0] + words[1],
)
def test_every_command_takes_the_one_before_and_says_so_once(run, words):
    spoil(run / NEWEST)
    result = result_of(*words)
    said = [line for line in result.stderr.splitlines() if "cannot be read" in line]
    assert len(said) == 1
    assert said[0].startswith(f"warning: a/{WORDS} (")
    assert said[0].endswith("; a/checkpoint-previous.pt is used, of update 4, without the last update")


@pytest.mark.usefixtures("empty_folder")
def test_both_damaged_is_one_line(run):
    spoil(run / NEWEST)
    spoil(run / PREVIOUS)
    _, stderr = invoked("sample", "a", code=2)
    assert stderr.count("\n") == 1
    assert f"error: a/{WORDS} (" in stderr
    assert "; nor can the one before: a/checkpoint-previous.pt cannot be read: " in stderr
    assert stderr.endswith("; an earlier one may be whole: ebmkit train --from a/checkpoint-before.pt\n")
    assert read_model(run / BEFORE).updates == 0
    (run / BEFORE).unlink()
    with pytest.raises(UsageError, match=r"; restore one of them from a backup$"):
        resume_run(run)


def test_a_file_that_is_named_itself_is_not_replaced_by_another(run):
    spoil(run / NEWEST)
    with pytest.raises(UsageError, match=rf"{WORDS} .*; the one before is {run / PREVIOUS}$"):
        read_model(run / NEWEST)
    assert read_model(run / PREVIOUS).updates == 4


def test_a_run_that_was_killed_before_its_first_update_is_resumed(run, straight):
    for name in (NEWEST, PREVIOUS):
        (run / name).unlink()
    (run / "metrics.jsonl").write_text('{"update": 1, "lo')
    list(resume_run(run).train())
    assert_same_run(run, straight)


def test_a_flipped_bit_in_a_model_file_is_found(run, tmp_path):
    path = tmp_path / "a.safetensors"
    write_model_file(read_model(run), "last", path)
    content, drawn = path.read_bytes(), random.Random(0)
    for place in drawn.sample(range(len(content)), 100):
        flip(path, place, drawn.randrange(8))
        with pytest.raises(UsageError):
            read_model_file(path)
        path.write_bytes(content)
    for place in (content.index(b'"sha256"') + 6, len(content) - 1):  # its name, and a weight
        flip(path, place, 1)
        with pytest.raises(UsageError, match=r"a\.safetensors is damaged: its checksum is wrong; write it again"):
            read_model_file(path)
        path.write_bytes(content)


def test_a_model_file_without_a_checksum_is_read(run, tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "a.safetensors"
    write_model_file(read_model(run), "last", path)
    facts = {key: text for key, text in metadata(path).items() if key != "sha256"}
    save_file(load_file(path), path, metadata=facts)
    assert read_model_file(path).updates == 5


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a model file."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def test_values_of_a_damaged_run_are_still_read(run):
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"update": 6, "ga')
    with pytest.warns(UserWarning, match="damaged are skipped: 6$"):
        assert len(read_metrics(run)["update"]) == 5
