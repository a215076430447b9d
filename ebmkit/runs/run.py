"""The life of a run, from the first update to the last: watched, saved, stopped, rolled back."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import cast

from ebmkit.errors import Diverged, Interrupted
from ebmkit.files import Unwritten
from ebmkit.methods.maximum_likelihood import Update
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
    """A run whose parts are built; nothing is written before `train` is called. See `RunState` for its attributes."""

    def train(self, announce: Callable[[str], None] | None = None) -> Iterator[Update]:
        """Make the remaining updates, watched and saved in the folder of the run.

        A loop that is left early leaves a run that can be resumed. In the main thread, SIGINT, SIGTERM and SIGHUP end
        it after the current update. The number of torch's threads is set for the whole process. Until the updates end,
        are closed or are dropped, no other process, nor another run of this one, can train in the folder.

        Args:
            announce: Called with a line for the user when a signal arrives.

        Yields:
            Every update, after the watchers have seen it.

        Raises:
            UsageError: at the call, for a watcher whose settings are out of range, a folder that cannot be made, or one
                that another process trains in, or has trained in since the run was opened.
            Diverged: if training diverged; the message names the last good checkpoint.
            Interrupted: after a signal; the message says how to resume.
            Unwritten: if a file of the run cannot be written, as on a full disk; updates are saved where possible.
        """
        occupy(self.threads)
        with ExitStack() as stack:
            if self.opened is not None and self.folder is not None:
                updates = self.watched_updates(self.folder)
                stack.enter_context(owned(self.folder))
                make_newest(self.opened, self.checkpoint(), self.folder)
                rewrite_folder(self.folder, self.recipe, self.trainer.index, self.device, self.events)
            else:
                with new_folder(self.folder, self.recipe, self.device, self.origin) as folder:
                    stack.enter_context(owned(folder))
                    updates = self.watched_updates(folder)
                self.folder = folder
            self.status = "running"
            self.earlier = EarlierCheckpoints(self.folder.absolute(), self.trainer.index)
            return self._train(updates, announce or (lambda line: None), stack.pop_all())

    def _train(
        self, updates: Iterator[Update], announce: Callable[[str], None], ownership: ExitStack
    ) -> Iterator[Update]:
        with ownership:  # which is also left if the updates are dropped before the first
            yield from self._trained(updates, announce)

    def _trained(self, updates: Iterator[Update], announce: Callable[[str], None]) -> Iterator[Update]:
        status: Status = "failed"
        folder = self.earlier.folder
        try:
            self.earlier.begin(lambda path: self.checkpoint().write_to(path))
            with stop_signals(announce) as stop:
                while status == "failed":
                    try:
                        status = yield from self._until(updates, stop)
                    except Diverged as error:
                        # While a loop is left, nobody takes more updates.
                        if isinstance(error.__context__, GeneratorExit) or not roll_back(self, error):
                            status = "diverged"
                            raise
                        updates = self.watched_updates(folder)
        except Diverged as error:
            raise Diverged(f"{error}; {ended(self, error)}") from error
        except (GeneratorExit, KeyboardInterrupt):
            status = "interrupted"
            raise
        except Unwritten as error:
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

    def _until(self, updates: Iterator[Update], stop: Event) -> Generator[Update, None, Status]:
        """The updates to the end, or until `stop` is set; returns which of the two it was."""
        with closing(updates):  # type: ignore[type-var]
            for update in updates:
                yield update
                if stop.is_set() and update.index < self.recipe.train.iterations:
                    return "interrupted"
        return "done"

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
            "save": lambda: self.checkpoint().write(folder),
            "keep": lambda: self.earlier.keep(self.trainer.index),
            "memory": self.memory,
        }
        return watched(self.updates(), self.recipe, facts)

    def check_watchers(self) -> None:
        """Check the settings of every watcher; nothing is written.

        Raises:
            UsageError: for a setting out of range.
        """
        cast(Generator[Update], self.watched_updates(Path("nowhere"))).close()
