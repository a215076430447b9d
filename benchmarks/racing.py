"""A race: contenders train in turns, each on its own clock, and at given moments the judge measures their samples.

All are in one process, and slices are short, so that whatever slows the machine down slows all of them. A clock runs
only in updates, not while samples are drawn, measured or saved. Everything is in a folder: a race that was interrupted
goes on from the last moment of each contender.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from judge import judged
from learning import Learner, Make, Task
from quality import slices
from torch import Tensor

from ebmkit.errors import UsageError, kind_and_message, one_line
from ebmkit.features.protocols import Classifier
from ebmkit.files import indented_json, replacing, write_text

LONGEST = 10.0  # seconds of a slice
STATE = "state.pt"


class Lane:
    """One contender with one seed: its clock, its random state and its folder.

    Attributes:
        title: The name of the contender.
        seconds: How long it has trained.
        updates: How many updates it has made.
        looked_at: What the clock showed when its samples were last measured.
        stopped: Why it does not train on; empty while it does.
    """

    def __init__(self, title: str, make: Make, task: Task, seed: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.title, self.seed, self.folder, self.clock = title, seed, folder, task.clock
        self.seconds, self.updates, self.stopped, self.looked_at = 0.0, 0, "", -1.0
        with torch.random.fork_rng(devices=[]):
            self.learner: Learner = make(task, seed, folder)
            self.random = torch.get_rng_state()
        if (folder / STATE).exists():
            saved = torch.load(folder / STATE, weights_only=True)
            self.seconds, self.updates, self.stopped = saved["seconds"], saved["updates"], saved["stopped"]
            with torch.random.fork_rng(devices=[]):
                self.learner.load_state_dict(saved["learner"])
            self.random, self.looked_at = saved["random"], saved["seconds"]

    def advance(self, until: float) -> None:
        """Train until the clock shows `until` seconds; the last update may end a little after that."""
        with self._own_randomness():
            while self.seconds < until and not self.stopped:
                began = self.clock()
                try:
                    if self.learner.update():
                        self.updates += 1
                    else:
                        self.stopped = f"its recipe ends after {self.updates} updates"
                except (RuntimeError, ValueError) as error:
                    self.stopped = kind_and_message(error)
                if not self.stopped:
                    self.seconds += self.clock() - began

    def look(self, moment: int, n: int, measure: Callable[[Tensor, Tensor], list[dict[str, Any]]]) -> bool:
        """Draw n samples, measure them and save all; False if that was done before, or it has not trained since."""
        file = self.folder / f"moment-{moment:02d}.json"
        if file.exists() or self.seconds == self.looked_at:
            return False
        samples, starts = self.draw(n)
        rows: list[dict[str, Any]] = []
        try:
            rows = measure(samples, starts)
        except (UsageError, RuntimeError) as error:  # values that are not finite, or have no eigenvalues
            self.stopped = self.stopped or f"diverged: {one_line(error)}"
        with replacing(self.folder / f"samples-{moment:02d}.pt") as new:
            torch.save(samples.half(), new)
        with replacing(self.folder / STATE) as new:
            fields = {"seconds": self.seconds, "updates": self.updates, "stopped": self.stopped}
            torch.save({**fields, "random": self.random, "learner": self.learner.state_dict()}, new)
        write_text(file, indented_json({"seconds": self.seconds, "updates": self.updates, "measures": rows}))
        self.looked_at = self.seconds
        return True

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """Samples and starts `(n, *shape)`, the same noise every time; training is not changed by it."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            samples = self.learner.sample(n)
            torch.manual_seed(self.seed)
            return samples, self.learner.start(n)

    def result(self) -> dict[str, Any]:
        """Everything that was measured."""
        files = sorted(self.folder.glob("moment-*.json"))
        points = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        return {"recipe": self.learner.recipe, "stopped": self.stopped, "moments": points}

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """The global random state is that of this contender, and is as before afterwards."""
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.random)
            yield
            self.random = torch.get_rng_state()


def race(lanes: Sequence[Lane], looks: Sequence[float], n: int, task: Task, features: Classifier) -> Iterator[Lane]:
    """Advance all lanes in turns, and yield each lane after each new look at it."""

    def measure(samples: Tensor, starts: Tensor) -> list[dict[str, Any]]:
        return judged(samples, starts, task.examples, features)

    for end in slices(looks, LONGEST):
        for lane in lanes:
            lane.advance(end)
            if end in looks and lane.look(looks.index(end), n, measure):
                yield lane
