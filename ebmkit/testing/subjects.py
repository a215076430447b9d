"""What is to be tested, made once before any check: a part that cannot even be made is the user's error."""

import pkgutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import chdir, suppress
from typing import Any

from torch import nn

from ebmkit.errors import UsageError
from ebmkit.interfaces import InitDistribution, Sampler
from ebmkit.testing.globals import seeded
from ebmkit.testing.kit import SHAPES, Subject, checks, told
from ebmkit.testing.training import Training

# The shapes of examples that a part of a kind may refuse before it is given up.
TRIED = {"energy": SHAPES, "init": SHAPES, "watcher": SHAPES[:2], "features": SHAPES}


def subject(
    kind: str, target: str | Callable[..., Any], shape: tuple[int, ...] | None, settings: Mapping[str, Any]
) -> Subject:
    """A part ready for its checks; without a `shape`, the first of those tried that it takes.

    Args:
        kind: energy, sampler, init, data, watcher or features.
        target: The part: a class, function, partial, or the import string `"package.module:Name"` of one.
        shape: Shape of one example, for energies, inits and features.
        settings: Its settings; those left out keep their defaults.

    Raises:
        UsageError: for an unknown kind, or a part that does not import or cannot be made with these settings.
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
            refusals.append((f"making it {told(error)}", error))
    text, first = refusals[0]
    if len({text for text, _ in refusals}) > 1:
        text = f"it takes none of the examples' shapes that were tried; say shape=(...). First: {text}"
    raise UsageError(text) from first


def _loaded(kind: str, target: str | Callable[..., Any]) -> Callable[..., Any]:
    found: Any = target
    if isinstance(target, str):
        try:
            found = pkgutil.resolve_name(target)
        except (Exception, SystemExit) as error:
            raise UsageError(f"'{target}' does not import: it {told(error)}; write package.module:Name") from error
    if not callable(found) or isinstance(found, nn.Module | Sampler | InitDistribution):
        raise UsageError(
            f"a {kind} to test was given as a {type(found).__name__}; give the class, not an object, and its settings "
            "by name"
        )
    return found  # type: ignore[no-any-return]


def _make(part: Subject) -> None:
    """Make the part and forget it, with global randomness as it was."""
    with seeded(0):
        if part.kind != "watcher":
            part.make()
            return
        # A file that it opens too early is the matter of a check, which says so by name.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place, chdir(place), suppress(OSError):
            Training(part.shape).watched(part)
