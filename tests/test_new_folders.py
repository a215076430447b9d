"""Folders of runs that start at once, in folders that exist, or where there can be none."""

import threading
from pathlib import Path

import pytest
from training_runs import recipe

from ebmkit.errors import UsageError
from ebmkit.runs.checkpoint import read_checkpoint
from ebmkit.runs.new_folders import create, first_free
from ebmkit.runs.training import new_run

pytestmark = pytest.mark.usefixtures("empty_folder")


def at_once(count: int, call) -> list[object]:
    """What `call` returns or raises in this many threads that start together."""
    found: list[object] = []
    together = threading.Barrier(count)

    def one() -> None:
        together.wait()
        try:
            found.append(call())
        except UsageError as error:
            found.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_runs_that_start_at_once_have_their_own_folders():
    found = at_once(16, lambda: first_free("a"))
    assert sorted(map(str, found)) == [f"runs/a-{number:03d}" for number in range(1, 17)]


def test_one_of_several_runs_gets_an_empty_folder():
    for round_ in range(20):
        place = Path(f"{round_}")
        place.mkdir()
        found = at_once(8, lambda place=place: create(place, "config.toml"))
        assert found.count(place) == 1
        assert all("exists; resume it with --resume" in str(one) for one in found if one != place)


def test_an_empty_folder_is_used():
    Path("a").mkdir()
    run = new_run(recipe({"train.iterations": "1"}), "a")
    list(run.train())
    assert read_checkpoint(Path("a")).updates == 1


def test_a_run_that_is_refused_leaves_an_empty_folder_empty():
    Path("a").mkdir()
    run = new_run(recipe({"watch.metrics.every": "-2"}), "a")
    with pytest.raises(UsageError, match="must be at least 0"):
        run.train()
    assert [str(path) for path in Path().rglob("*")] == ["a"]


def test_a_file_in_place_of_the_folder_is_refused():
    Path("a").write_text("mine")
    with pytest.raises(UsageError, match=r"^a exists; resume it"):
        new_run(recipe(), "a")
    with pytest.raises(UsageError, match=r"^a exists; resume it"):
        create(Path("a"), "config.toml")
    assert Path("a").read_text() == "mine"


def test_a_folder_for_runs_that_cannot_be_is_refused():
    Path("runs").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"^cannot make the folder runs/a-001 of the run: "):
        first_free("a")
