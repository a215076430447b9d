"""What a check is, what it is given, and how all checks of a kind are run."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor

from ebmkit.config.settings import bind
from ebmkit.errors import UsageError, nearest, one_line
from ebmkit.testing.recipes import Trained

# The modules whose checks a kind must pass.
HOMES = {
    "sampler": ("basics", "samplers", "manners", "randomness", "descent", "promises", "invariance", "settings"),
    "energy": ("energies", "saving", "slopes", "settings"),
    "init": ("inits", "settings"),
    "data": ("datasets", "settings"),
    "watcher": ("watchers", "settings"),
    "features": ("features", "settings"),
    "method": ("methods", "settings"),
    "network": ("networks", "settings"),
}
# The checks that all others of a kind rely on: if one of these fails, `examine` stops after them.
FIRST = {
    "sampler": ("samplers_are_samplers", "promises_are_promises", "states_are_states"),
    "energy": ("energies_give_one_value_per_example",),
    "init": ("inits_are_init_distributions",),
    "data": ("data_are_examples",),
    "watcher": (),
    "features": (),
    "method": ("methods_are_methods",),
    "network": ("networks_are_modules",),
}
# Shapes of examples that are tried where none is given: points, grey images, colour images.
SHAPES = ((2,), (1, 8, 8), (3, 32, 32))
# Modules that call a part or are called by it: they are skipped when the line of an error is looked for.
OURS = ("ebmkit.interfaces", "ebmkit.config.settings", "ebmkit.errors")


class Failed(AssertionError):
    """A part does not meet a requirement; the message says what was seen, and what to do."""


class NotPromised(Exception):
    """A check that does not apply; the message says what the part would have to promise."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A part under test, which can be built any number of times. Subjects are compared by identity.

    Attributes:
        kind: energy, sampler, init, data, watcher, features, method or network.
        target: The class, function or partial.
        settings: Its settings by name; the others keep their defaults.
        shape: Shape of one example, for the kinds that depend on it.
    """

    kind: str
    target: Callable[..., Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    shape: tuple[int, ...] = SHAPES[0]

    def make(self, *, settings: Mapping[str, Any] | None = None, **facts: Any) -> Any:
        """Build the part; `settings` override its own, `facts` the shape and a small data set of that shape."""
        if self.kind == "method":
            return Trained(self.target, {**self.settings, **(settings or {})}, self.shape).method
        shapes = {"shape": self.shape, "inputs": self.shape, "outputs": self.shape}
        known = {**shapes, "data": NoiseExamples(self.shape), **facts}
        return bind(self.target, known, {**self.settings, **(settings or {})})


class NoiseExamples:
    """A small data set of uniform noise in [-1, 1], for inits that ask for the data."""

    def __init__(self, shape: tuple[int, ...], count: int = 256) -> None:
        self.x = torch.rand(count, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        self.shape = shape

    def __len__(self) -> int:
        return len(self.x)

    def fetch(self, indices: Tensor) -> Tensor:
        """The examples `(n, *shape)` at `indices` `(n,)`."""
        return self.x[indices]


@dataclass(frozen=True)
class Outcome:
    """The result of one check; the reason is one line, and empty where it passed."""

    check: str
    verdict: Literal["passed", "failed", "not promised"]
    reason: str = ""


Check = Callable[[Subject], None]


def require(holds: bool, message: str) -> None:
    """Fail the check unless `holds`; the message says what was seen and what to do."""
    __tracebackhide__ = True
    if not holds:
        raise Failed(message)


def checks(kind: str) -> dict[str, Check]:
    """The checks of a kind by name: those of `FIRST`, then the public functions of its modules in their order.

    Raises:
        UsageError: for an unknown kind.
    """
    if kind not in HOMES:
        raise UsageError(f"unknown kind '{kind}'.{nearest(kind, HOMES)} Kinds: {', '.join(HOMES)}.")
    found: dict[str, Check] = {}
    for home in HOMES[kind]:
        module = import_module(f"ebmkit.testing.{home}")
        found |= {
            name: value
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__ and callable(value) and not name.startswith("_")
        }
    return {name: found[name] for name in (*FIRST[kind], *found)}


def examine(part: Subject) -> Iterator[Outcome]:
    """Run every check of the part's kind, and yield each result at once.

    If one of `FIRST` fails, the others are not run: they would fail for the same reason.
    """
    failed = False
    for name, check in checks(part.kind).items():
        if failed and name not in FIRST[part.kind]:
            return
        one = outcome(name, check, part)
        failed = failed or (name in FIRST[part.kind] and one.verdict == "failed")
        yield one


def outcome(name: str, check: Check, part: Subject) -> Outcome:
    """Run one check; an exception of the part is a failure of this check."""
    try:
        run(check, part)
    except NotPromised as reason:
        return Outcome(name, "not promised", str(reason))
    except Failed as reason:
        return Outcome(name, "failed", str(reason))
    except (Exception, SystemExit) as error:
        return Outcome(name, "failed", raised(error))
    return Outcome(name, "passed")


def run(check: Check, part: Subject) -> None:
    """Run one check and restore grad mode, which a wrong part may leave changed."""
    __tracebackhide__ = True
    try:
        check(part)
    finally:
        torch.set_grad_enabled(True)


def raised(error: BaseException) -> str:
    """What a part raised, as one line: the type, the message, and the line of the part where it was raised."""
    return f"raised {type(error).__name__}: {one_line(error)}{_place(error)}"


def _place(error: BaseException) -> str:
    """The last line of the traceback that is neither torch's, nor Python's, nor ours: the line of the part."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        outside = name.partition(".")[0] in ("torch", *sys.stdlib_module_names)
        if not outside and name not in OURS and not name.startswith("ebmkit.testing"):
            place = f" ({name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place
