"""The life of a run, from the first update to the last: watched, saved, stopped, rolled back."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ebmkit.errors import Diverged, Interrupted, ProcessFailed, ProcessLost, UsageError
from ebmkit.files import Unwritten
from ebmkit.methods.update import Update
from ebmkit.registry.lookup import blame
from ebmkit.runs.device import occupy
from ebmkit.runs.diverging import EarlierCheckpoints
from ebmkit.runs.folder import new_folder, rewrite_folder
from ebmkit.runs.newest import is_saved, make_newest
from ebmkit.runs.owner import owned
from ebmkit.runs.rollback import ended, roll_back
from ebmkit.runs.signals import stop_signals
from ebmkit.runs.state import RunState, Status
from ebmkit.runs.watching import watched


@dataclass
class Run(RunState):
    """A run whose parts are built; nothing is written before `train` is called. See `RunState` for its attributes.

    Attributes:
        held: The error of what only process 0 does, which all processes raise when they have stopped; None without one.
        left: Whether the loop over its updates was left.
    """

    held: BaseException | None = None
    left: bool = False

    def train(self, announce: Callable[[str], None] | None = None) -> Iterator[Update]:
        """Make the remaining updates, watched and saved in the folder of the run.

        A loop that is left early leaves a run that can be resumed. In the main thread, SIGINT, SIGTERM and SIGHUP end
        it after the current update. The number of torch's threads is set for the whole process. Until the updates end,
        are closed or are dropped, no other process, nor another run of this one, can train in the folder.

        Of several processes, all must make all updates. A signal to one of them ends all after the same update. A loop
        that is left early is not saved: the run is resumed from its last checkpoint.

        Args:
            announce: Called with a line for the user when a signal arrives.

        Yields:
            Every update, after the watchers have seen it.

        Raises:
            UsageError: at the call, for a watcher whose settings are out of range, a folder that cannot be made, or one
                that another process trains in, or has trained in since the run was opened.
            Diverged: if training diverged; the message names the last checkpoint.
            Interrupted: after a signal; the message says how to resume.
            Unwritten: if a file of the run cannot be written, as on a full disk; updates are saved where possible.
            ProcessFailed: if another process failed.
            ProcessLost: if another process ended, or does not answer.
        """
        occupy(self.threads)
        self.processes.wait_at_most(self.recipe.train.rank_timeout)
        with ExitStack() as stack:
            with self.processes.together(), self._prepared(stack) as folder:
                updates = self.watched_updates(folder)
            self.folder = folder
            self.status = "running"
            self.earlier = EarlierCheckpoints(folder.absolute(), self.trainer.index, self.processes)
            return self._train(updates, announce or (lambda line: None), stack.pop_all())

    @contextmanager
    def _prepared(self, ownership: ExitStack) -> Iterator[Path]:
        """The folder of the run, which process 0 makes or rewrites and owns; undone if the block raises in any process.

        Raises:
            UsageError: if it cannot be made, another process trains in it, or one of the run does not see it.
        """
        processes = self.processes
        if self.opened is not None and self.folder is not None:
            yield self.folder
            now = self.checkpoint()
            if processes.first:
                ownership.enter_context(owned(self.folder))
                make_newest(self.opened, now, self.folder)
                rewrite_folder(self.folder, self.recipe, self.trainer.index, self.device, self.events)
        elif processes.first:
            with new_folder(self.folder, self.recipe, self.device, self.origin) as folder:
                ownership.enter_context(owned(folder))
                yield processes.from_first(lambda: folder)
                processes.exchange(None)
        else:
            folder = processes.from_first(Path)
            if not folder.is_dir():
                raise UsageError(f"there is no folder {folder}: all processes need the same disk, and the same folder")
            yield folder
            processes.exchange(None)

    def _train(
        self, updates: Iterator[Update], announce: Callable[[str], None], ownership: ExitStack
    ) -> Iterator[Update]:
        with ownership:  # which is also left if the updates are dropped before the first
            yield from self._trained(updates, announce)

    def _trained(self, updates: Iterator[Update], announce: Callable[[str], None]) -> Iterator[Update]:
        status: Status = "failed"
        folder = self.earlier.folder
        try:
            self.earlier.begin(lambda path: self.save(lambda now: now.write_to(path)))
            with stop_signals(announce) as stop:
                self.trainer.sharing.wish = lambda: stop.is_set() or self.held is not None
                while status == "failed":
                    try:
                        status = yield from self._until(updates)
                    except Diverged as error:
                        # While a loop is left, nobody takes more updates.
                        if isinstance(error.__context__, GeneratorExit) or not roll_back(self, error):
                            status = "diverged"
                            raise
                        updates = self.watched_updates(folder)
            reached, status = status, "failed"
            self.processes.exchange(None, self.held)
            status = reached
        except Diverged as error:
            raise Diverged(f"{error}; {ended(self, error)}") from error
        except (GeneratorExit, KeyboardInterrupt):
            status = "interrupted"
            raise
        except (Unwritten, ProcessFailed, ProcessLost) as error:
            if self.folder is not None and is_saved(self.folder):
                error.add_note(f"resume with: ebmkit train --resume {self.folder}")
            raise
        except Exception as error:
            blame(error, self.recipe.parts.values())
            raise
        finally:
            self.status = status
        if status == "interrupted":
            raise Interrupted(
                f"stopped after update {self.trainer.index}; resume with: ebmkit train --resume {self.folder}"
            )

    def _until(self, updates: Iterator[Update]) -> Generator[Update, None, Status]:
        """The updates to the end, or until a process is to stop; returns which of the two it was."""
        with closing(updates):  # type: ignore[type-var]
            try:
                for update in updates:
                    yield update
                    if self.trainer.sharing.stopping and update.index < self.recipe.train.iterations:
                        return "interrupted"
            except (GeneratorExit, KeyboardInterrupt):
                self.left = True
                raise
        return "done"

    def hold(self, error: BaseException) -> None:
        """Stop after this update, or of several processes after the next, save the run, and raise this error in all."""
        self.held = self.held or error

    def _save(self) -> None:
        """Write `checkpoint.pt`; not where a loop was left, for the other processes may still be in theirs."""
        if self.processes.size == 1 or not self.left:
            self.save(lambda now: now.write(self.earlier.folder))

    def watched_updates(self, folder: Path) -> Iterator[Update]:
        """The remaining updates, as seen by every watcher of the recipe; `folder` is where they write.

        Raises:
            UsageError: at the call, for a watcher whose settings are out of range.
        """
        folder = folder.absolute()  # the program may change its folder while it trains
        facts = {
            "trainer": self.trainer,
            "folder": folder,
            "examples": self.examples,
            "iterations": self.recipe.train.iterations,
            "config": self.recipe.plain,
            "save": self._save,
            "keep": lambda: self.earlier.keep(self.trainer.index),
            "memory": self.memory,
            "hold": self.hold,
        }
        return watched(self.updates(), self.recipe, facts, self.processes)

    def check_watchers(self) -> None:
        """Check the settings of every watcher; nothing is written.

        Raises:
            UsageError: for a setting out of range.
        """
        cast(Generator[Update], self.watched_updates(Path("nowhere"))).close()
