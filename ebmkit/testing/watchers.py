"""What every watcher must do: yield every update of a training, and leave the training unchanged."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir
from copy import deepcopy
from functools import wraps
from pathlib import Path

from ebmkit.errors import UsageError
from ebmkit.methods.update import Update
from ebmkit.testing.globals import changed_by
from ebmkit.testing.kit import SHAPES, Subject, require
from ebmkit.testing.training import UPDATES, Training, same


def _on_some_data(check: Callable[[Subject, Training], None]) -> Callable[[Subject], None]:
    """Run a check on a training in an empty current folder: on points, or on images where points are refused."""

    @wraps(check)
    def run(subject: Subject) -> None:
        refusals = []
        for shape in SHAPES[:2]:
            # A background process of the watcher may still write while the folder is removed.
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, chdir(place):
                try:
                    return check(subject, Training(shape))
                except UsageError as error:
                    refusals.append(f"{shape}: {error}")
        tried = "; of shape ".join(refusals)
        return require(False, f"it refuses all examples, those of shape {tried}; accept one of these shapes")

    return run


@_on_some_data
def watchers_touch_no_file_before_the_first_update(subject: Subject, training: Training) -> None:
    """The run's folder is created after the watchers: nothing is written before the first update is asked for."""
    advice = "the run's folder does not exist yet when a watcher is built: open files inside the generator"
    try:
        watched = training.watched(subject)
    except OSError as error:
        return require(False, f"building it raised {type(error).__name__}: {error}; {advice}")
    require(not list(Path().iterdir()), f"building it wrote {_names(Path())}; {advice}")
    training.folder.mkdir(parents=True)
    for _ in watched:
        pass


@_on_some_data
def watchers_yield_every_update_unchanged_and_in_order(subject: Subject, training: Training) -> None:
    """A watcher yields the same update objects that it receives, each once, in order, with their values unchanged."""
    training.folder.mkdir(parents=True)
    updates = list(training.updates())
    copies = deepcopy([vars(update) for update in updates])
    out = list(training.watched(subject, iter(updates)))
    came = [getattr(update, "index", update) for update in out]
    require(
        list(map(id, out)) == list(map(id, updates)),
        f"updates 1 to {UPDATES} went in and {came} came out, or copies of them; yield each update itself, once",
    )
    for old, update in zip(copies, updates, strict=True):
        changed = [name for name, value in old.items() if not same(value, getattr(update, name))]
        require(not changed, f"it wrote to {', '.join(changed)} of an update; clone a tensor before changing it")


@_on_some_data
def watchers_take_one_update_at_a_time(subject: Subject, training: Training) -> None:
    """The next update is taken only after the last was yielded: reading ahead delays checkpoints and the display."""
    training.folder.mkdir(parents=True)
    advice = "take the next update only after the last was yielded: `for update in updates: ...; yield update`"
    watched = training.watched(subject)
    require(training.trainer.index == 0, f"building it ran {training.trainer.index} updates; {advice}")
    for update in watched:
        ran = training.trainer.index
        require(ran <= update.index, f"{ran} updates had run when update {update.index} came out; {advice}")


@_on_some_data
def watchers_change_nothing_in_training(subject: Subject, training: Training) -> None:
    """Weights, optimiser, init and random states end bitwise as they would without the watcher."""
    training.folder.mkdir(parents=True)
    bare = Training(training.shape)
    list(bare.updates())
    drawn = changed_by(lambda: list(training.watched(subject)))
    require(not drawn, f"it changed the global random state of {drawn}; draw from a torch.Generator of its own")
    without, watched = bare.condition(), training.condition()
    changed = [name for name in without if not same(without[name], watched[name])]
    require(
        not changed,
        f"the trainer's {', '.join(changed)} ended differently than without it; work on copies, "
        "and draw from a torch.Generator of its own, not from trainer.rng",
    )


@_on_some_data
def watchers_let_the_consumer_leave(subject: Subject, training: Training) -> None:
    """`close` after two updates raises nothing and takes no further update: this is how a run is stopped."""
    training.folder.mkdir(parents=True)
    watched = training.watched(subject)
    close = getattr(watched, "close", None)
    if close is None:
        return require(False, f"it returned a {type(watched).__name__}, which has no close; write a generator")
    next(watched)
    next(watched)
    ran = training.trainer.index
    try:
        close()
    except (Exception, SystemExit) as error:
        reason = f"close raised {type(error).__name__}: {error}"
        require(False, f"{reason}; GeneratorExit is raised at your yield: let it propagate, and clean up safely")
    more = training.trainer.index - ran
    require(not more, f"{more} more updates ran when the consumer left; take no update after GeneratorExit")


@_on_some_data
def watchers_pass_errors_on(subject: Subject, training: Training) -> None:
    """An exception of the training comes out of the watcher unchanged: the same object."""
    training.folder.mkdir(parents=True)
    planted = RuntimeError("planted by the test of the watcher")

    def failing() -> Iterator[Update]:
        yield from training.updates(2)
        raise planted

    caught: BaseException | None = None
    try:
        for _ in training.watched(subject, failing()):
            pass
    except UsageError:  # it refuses these examples
        raise
    except (Exception, SystemExit) as error:
        caught = error
    came = "nothing" if caught is None else f"{type(caught).__name__}: {caught}"
    require(
        caught is planted,
        f"the training raised {planted!r} and {came} came out; clean up in `finally`, or `raise` what you caught",
    )


@_on_some_data
def watchers_write_only_in_the_run_folder(subject: Subject, training: Training) -> None:
    """A watcher writes only in the run's folder: nothing appears in the current folder, nor beside the run's."""
    training.folder.mkdir(parents=True)
    list(training.watched(subject))
    runs = training.folder.parent
    strays = [path for path in (*Path().iterdir(), *runs.iterdir()) if path not in (runs, training.folder)]
    found = ", ".join(sorted(map(str, strays)))
    require(not strays, f"it wrote {found}; ask for the fact `folder`, and write to `folder / name`")


@_on_some_data
def watchers_can_be_used_twice(subject: Subject, training: Training) -> None:
    """A second run in the same process is watched like the first, in its own folder."""
    second = Training(training.shape, "runs/second")
    for one in (training, second):
        one.folder.mkdir(parents=True)
    first = len(list(training.watched(subject)))
    before = _contents(training.folder)
    out = len(list(second.watched(subject)))
    advice = "keep what belongs to a run inside the generator, not in the module"
    require(out == first, f"{first} updates came out of the first run, and {out} of the second; {advice}")
    require(_contents(training.folder) == before, f"a second run changed the folder of the first; {advice}")
    wrote = bool(_contents(second.folder)) or not before
    require(wrote, f"the first run wrote {_names(training.folder)}, the second nothing; {advice}")


@_on_some_data
def watchers_continue_after_a_resume(subject: Subject, training: Training) -> None:
    """In a resumed run, the watcher's own files are in the folder already, and the index of the updates continues."""
    training.folder.mkdir(parents=True)
    list(training.watched(subject))
    again = Training(training.shape)
    again.trainer.load_state_dict(training.trainer.state_dict())
    try:
        came = [update.index for update in again.watched(subject)]
    except OSError as error:
        return require(False, f"a resumed run raised {type(error).__name__}: {error}; your files may exist already")
    due = list(range(UPDATES + 1, 2 * UPDATES + 1))
    require(came == due, f"updates {due} of a resumed run went in and {came} came out; yield each update you receive")


def _names(folder: Path) -> str:
    return ", ".join(sorted(str(path.relative_to(folder)) for path in folder.rglob("*")))


def _contents(folder: Path) -> dict[Path, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {path: path.read_bytes() for path in files}
