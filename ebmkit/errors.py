"""The exceptions and warnings that users see; each carries one line that says what to do."""

import difflib
import itertools
import math
import operator
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

REMEDIES = "try train.gradient_penalty=1, a lower optimizer.lr, more train.data_noise, or train.energy_l2=0.1"

TOO_LARGE = re.compile("not enough memory|out of memory|allocate memory|Overflow when unpacking|calculation overflowed")
EMBEDDING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # letters that change the order of others


LETTERS = 980  # the longest message; a longer one quotes what was read from a damaged or foreign file
END = 140  # of them those at the end, where a message says what to write


class UsageError(ValueError):
    """What the user asked for cannot be done; the message is one line and says what to write instead.

    Args:
        message: The message. Line breaks in it become blanks, and of a very long one the middle is left out.

    Attributes:
        complete: Whether the message names its section or its part already: then nothing is put in front of it.
    """

    complete = False

    def __init__(self, message: str = "") -> None:
        line = " ".join(message.splitlines())
        super().__init__(line if len(line) <= LETTERS else f"{line[: LETTERS - END - 5]} ... {line[-END:]}")


class Diverged(RuntimeError):
    """Training diverged: a value is not finite, or too large; the message says what to try."""


class Notice(UserWarning):
    """Something is done in another way than was asked for; the message is one line."""


class Interrupted(Exception):
    """A run was asked to stop; its state is saved."""


class ProcessFailed(RuntimeError):
    """Another process of a run raised an exception, which the message names; all of them end."""


class ProcessLost(RuntimeError):
    """Another process of a run ended, or does not answer."""


def one_line(error: BaseException) -> str:
    """The message of an exception without its line breaks; empty for one of a third party that has none to give."""
    try:
        return " ".join(str(error).split())
    except Exception:
        return ""


def visible(text: str) -> str:
    r"""A text for a terminal: what would move its cursor, change its state or reorder letters is an escape, `\u001b`.

    Line breaks and tabs stay. Names of files, settings and messages may hold anything.
    """
    if text.isprintable():
        return text
    return "".join(f"\\u{ord(letter):04x}" if controls(letter) else letter for letter in text)


def controls(letter: str) -> bool:
    """Whether a letter controls a terminal: also a byte of a name of a file that is not text."""
    return letter not in "\n\t" and (
        unicodedata.category(letter) in ("Cc", "Zl", "Zp")
        or unicodedata.bidirectional(letter) in EMBEDDING
        or "\udc80" <= letter <= "\udc9f"
    )


def kind_and_message(error: BaseException) -> str:
    """The type of an exception and its message, on one line of bounded length."""
    return f"{type(error).__name__}: {one_line(error)[:200]}".removesuffix(": ")


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception says that there is not enough memory; torch raises several kinds."""
    return isinstance(error, MemoryError) or TOO_LARGE.search(str(error)) is not None


def counted(count: int, word: str) -> str:
    """A number with its word: `1 seed`, `2 seeds`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def listed(words: Iterable[object], room: int = 160) -> str:
    """Words as one text, of which only as many as fit in about `room` letters are written out."""
    names = list(map(str, words))
    lengths = itertools.accumulate(len(name) + 2 for name in names)
    fitting = max(1, sum(length <= room for length in lengths))
    rest = len(names) - fitting
    return ", ".join(names[:fitting]) + (f" and {rest} more" if rest > 0 else "")


@contextmanager
def naming_failure(what: str) -> Iterator[None]:
    """Turn any exception of a part into a line that says what cannot be done.

    Raises:
        UsageError: with the type and the message of the exception.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{what}: {kind_and_message(error)}") from error


def check(
    name: str,
    value: float,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> None:
    """Refuse a value outside its range; NaN and infinities are outside every range.

    Raises:
        UsageError: naming the setting, what was expected and what was given.
    """
    bounds: list[tuple[str, float | None, Callable[[float, float], bool]]] = [
        ("above", above, operator.gt),
        ("at least", at_least, operator.ge),
        ("below", below, operator.lt),
        ("at most", at_most, operator.le),
    ]
    try:
        finite = math.isfinite(value)
    except OverflowError:  # an integer that no float can hold
        finite = False
    given = [(word, bound, holds) for word, bound, holds in bounds if bound is not None]
    if finite and all(holds(value, bound) for _, bound, holds in given):
        return
    expected = " and ".join(f"{word} {bound:g}" for word, bound, _ in given) or "finite"
    raise UsageError(f"{name} must be {expected}, not {value}")


def nearest(word: str, words: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` for the nearest of `words`; empty if none is near."""
    match = difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f" Did you mean '{match[0]}'?" if match else ""
