"""The checkpoints from before a divergence, and the command that goes on from them."""

import shlex
from pathlib import Path

import pytest
from commands import invoked, result_of, train
from diverging_runs import PLANTED, TOY, TURN, files, planted, quiet, toy
from training_runs import state_of

from ebmkit.errors import Diverged, Notice
from ebmkit.evaluation.training_curves import read_events
from ebmkit.files import Unwritten
from ebmkit.processes import Processes
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.diverging import SOUND, EarlierCheckpoints, link
from ebmkit.runs.training import new_run, resume_run

pytestmark = [pytest.mark.usefixtures("built_in_parts_only"), quiet]


def kept(folder: Path, every: int, count: int) -> tuple[int, int | None]:
    """The updates of the kept checkpoints after `count` updates: from before the turn, and the next."""
    earlier = EarlierCheckpoints(folder, 0, Processes())
    (folder / "checkpoint-before.pt").write_text("0")
    for index in range(every, count + 1, every):
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        (folder / "checkpoint.pt").write_text(str(index))
        earlier.keep(index)
    return int((folder / "checkpoint-before.pt").read_text()), earlier.next


@pytest.mark.parametrize(
    ("every", "count", "expected"),
    [(100, 99, (0, None)), (100, 150, (0, 100)), (100, 250, (100, 200)), (10, 55, (0, 10)), (10, 60, (10, 60))],
)
def test_a_checkpoint_is_kept_once_it_proved_sound(tmp_path, every, count, expected):
    assert kept(tmp_path, every, count) == expected


def test_kept_checkpoints_are_links_and_not_written_again(tmp_path):
    kept(tmp_path, 100, 200)
    assert (tmp_path / "checkpoint-next.pt").samefile(tmp_path / "checkpoint.pt")


def test_without_links_a_checkpoint_is_copied(tmp_path, monkeypatch):
    def refuse(*paths: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "a").write_text("x")
    link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "x"


def test_a_copy_that_does_not_fit_leaves_nothing_half(tmp_path, monkeypatch):
    def half(source: Path, target: Path) -> None:
        Path(target).write_text("ha")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", lambda *paths: half(*paths))
    monkeypatch.setattr("shutil.copyfile", half)
    (tmp_path / "a").write_text("half")
    with pytest.raises(Unwritten, match=r"cannot write .*/b: No space left on device$"):
        link(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_does_not_hide_a_divergence(tmp_path, monkeypatch):
    real = Path.open

    def full(path: Path, *words, **more):
        if path.name == "metrics.jsonl" and run.trainer.index > TURN:
            raise OSError(28, "No space left on device")
        return real(path, *words, **more)

    run = new_run(planted(), tmp_path / "a")
    monkeypatch.setattr(Path, "open", full)
    with (
        pytest.raises(Diverged, match="to go on from update 20, before the turn: ebmkit train --from"),
        pytest.warns(Notice, match=r"^cannot write .*metrics\.jsonl: No space left on device$"),
    ):
        list(run.train())


def test_a_run_begins_with_its_first_state_kept(tmp_path):
    run = new_run(toy({"train.iterations": "1"}), tmp_path / "a")
    list(run.train())
    assert files(tmp_path / "a") == {"checkpoint.pt", "checkpoint-before.pt"}
    assert read_checkpoint(tmp_path / "a", "checkpoint-before.pt").updates == 0


@pytest.fixture(scope="module")
def diverged(tmp_path_factory, request):
    """The folder of a run that diverged, and the message."""
    place = tmp_path_factory.mktemp("runs") / "a b"
    with pytest.raises(Diverged) as raised:
        list(new_run(planted(), place).train())
    return place, str(raised.value)


def test_the_message_names_both_checkpoints_and_a_command(diverged):
    place, message = diverged
    assert message.startswith(f"diverged at update {TURN + 3}: displacement is ")
    assert f"; the last checkpoint is {place / 'checkpoint.pt'}; to go on from update 20, before the turn: " in message
    on = "-s train.gradient_penalty=1 -s optimizer.lr=0.0002"
    assert message.endswith(f"ebmkit train --from '{place / 'checkpoint-before.pt'}' {on}")
    assert state_of(place)["trainer"]["index"] == 60
    assert read_checkpoint(place, "checkpoint-before.pt").updates == 20 <= TURN - SOUND
    assert files(place) == {"checkpoint.pt", "checkpoint-previous.pt", "checkpoint-before.pt"}


def test_the_event_is_the_last_line_of_the_metrics(diverged):
    place, message = diverged
    (event,) = read_events(place)
    assert (event["event"], event["update"]) == ("diverged", TURN + 3)
    assert message.startswith(event["reason"])


@pytest.mark.usefixtures("empty_folder")
def test_the_command_of_the_message_works(diverged):
    planted()
    words = shlex.split(diverged[1].partition("before the turn: ")[2])[2:]
    _, stderr = train(*words, "--iterations", "3", "--out", "on", quiet=False)
    assert f"from      {diverged[0] / 'checkpoint-before.pt'} after update 20, weights " in stderr
    assert state_of(Path("on"))["trainer"]["index"] == 3


@pytest.mark.usefixtures("empty_folder")
def test_what_is_drawn_from_a_run_that_diverged_has_a_note(diverged):
    planted()
    place, before = diverged[0], diverged[0] / "checkpoint-before.pt"
    note = f"note: the run {place} diverged, and this is its last checkpoint; from before the turn: {before}\n"
    assert note in invoked("sample", place, "-n", 2, "--out", "a.npy")[1]
    assert "note" not in invoked("sample", before, "-n", 2, "--out", "b.npy")[1]


def test_resuming_goes_back_and_may_lower_the_rate(diverged):
    planted()
    run = resume_run(diverged[0], {"optimizer": {"lr": 3e-4}})
    assert run.trainer.index == 20
    assert [group["lr"] for group in run.trainer.optimizer.param_groups] == [3e-4]
    assert [group["initial_lr"] for group in run.trainer.optimizer.param_groups] == [3e-4]


@pytest.mark.usefixtures("empty_folder")
def test_the_command_line_says_it_in_one_line():
    planted()
    words = [text for key, value in {**TOY, **PLANTED}.items() for text in ("-s", f"{key}={value}")]
    result = result_of("train", *words, "--out", "a", "-q", "--json", code=3)
    assert result.stderr.count("\n") == 1
    assert result.stderr.rstrip().endswith(
        "ebmkit train --from a/checkpoint-before.pt -s train.gradient_penalty=1 -s optimizer.lr=0.0002"
    )
