"""The part to test, built once before any check: a part that cannot be built is the user's error."""

import pkgutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import chdir, suppress
from typing import Any

from torch import nn

from ebmkit.errors import UsageError
from ebmkit.interfaces import InitDistribution, Sampler
from ebmkit.testing.globals import seeded
from ebmkit.testing.kit import SHAPES, Subject, checks, raised
from ebmkit.testing.training import Training

# The shapes that are tried, in this order, until a part of the kind accepts one.
TRIED = {
    "energy": SHAPES,
    "init": SHAPES,
    "watcher": SHAPES[:2],
    "features": SHAPES,
    "method": SHAPES[:2],
    "network": SHAPES,
}


def subject(
    kind: str, target: str | Callable[..., Any], shape: tuple[int, ...] | None, settings: Mapping[str, Any]
) -> Subject:
    """A part ready for its checks, with the given shape or the first usual one that it accepts.

    Args:
        kind: energy, sampler, init, data, watcher, features, method or network.
        target: The part: a class, function, partial, or the import string `"package.module:Name"` of one.
        shape: Shape of one example, for the kinds that depend on it.
        settings: Its settings by name; the others keep their defaults.

    Raises:
        UsageError: for an unknown kind, or a part that does not import or cannot be built with these settings.
    """
    checks(kind)
    made_of = _loaded(kind, target)
    refusals: list[tuple[str, BaseException]] = []
    for tried in [shape] if shape is not None else TRIED.get(kind, SHAPES[:1]):
        ready = Subject(kind, made_of, settings, tried)
        try:
            _make(ready)
            return ready
        except UsageError as error:
            refusals.append((str(error), error))
        except (Exception, SystemExit) as error:
            refusals.append((f"building it {raised(error)}", error))
    text, first = refusals[0]
    if len({text for text, _ in refusals}) > 1:
        text = f"it accepts none of the shapes of examples that were tried; write shape=(...). First: {text}"
    raise UsageError(text) from first


def _loaded(kind: str, target: str | Callable[..., Any]) -> Callable[..., Any]:
    found: Any = target
    if isinstance(target, str):
        try:
            found = pkgutil.resolve_name(target)
        except (Exception, SystemExit) as error:
            raise UsageError(f"'{target}' does not import: it {raised(error)}; write package.module:Name") from error
    if not callable(found) or isinstance(found, nn.Module | Sampler | InitDistribution):
        raise UsageError(
            f"a {kind} to test must be a class or function, not an object ({type(found).__name__}); pass the "
            "class, and its settings by name"
        )
    return found  # type: ignore[no-any-return]


def _make(part: Subject) -> None:
    """Build the part once; the global random states are restored."""
    with seeded(0):
        if part.kind != "watcher":
            part.make()
            return
        # A file that is opened too early is reported by a check of its own.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, chdir(place), suppress(OSError):
            Training(part.shape).watched(part)
