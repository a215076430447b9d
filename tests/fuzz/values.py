"""Values that are well formed and wrong: numbers of any size, text of any kind, in JSON, in TOML and after `-s`."""

import json
import random
import tomllib
from typing import Any, TypeVar

from hypothesis import strategies as st

from ebmkit.config.settings import signature
from ebmkit.config.train_settings import TrainSettings
from ebmkit.registry.lookup import get_registry

T = TypeVar("T")
SECTIONS = ("energy", "sampler", "init", "data", "optimizer", "method", "train", "watch")
ODD_TEXTS = ["", " ", "none", "true", "nan", "\0", "\x1b[2J", "é", "e\u0301", "\u202e", "𝔘" * 3, "\ud800", "a" * 3000]
ODD_TEXTS += [
    "../../x",
    "/etc/passwd",
    "~nobody/x",
    "C:\\x",
    "os:system",
    "a\nb",
    "{x}",
    "%s",
    "[",
    "'",
    '"',
    "-1",
    "0x10",
]
NUMBERS = [0, -1, 1, 2, 3, 7, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400]
FLOATS = [0.0, -0.0, 0.5, 1.0, -1.0, 1e-320, 1e300, -1e300, float("inf"), float("-inf"), float("nan"), 2.0**31, 1e19]

texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=20)
numbers = st.sampled_from(NUMBERS) | st.integers(-5, 300)
floats = st.sampled_from(FLOATS) | st.floats()
plain = st.none() | st.booleans() | numbers | floats | texts
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
DEEP = ["[" * 100_000, '{"a":' * 100_000, "[" * 300 + "]" * 300]


def mostly(usual: st.SearchStrategy[T], odd: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """One of ten examples is odd."""
    return st.integers(0, 9).flatmap(lambda number: odd if number == 9 else usual)


def encoded(text: str) -> bytes:
    """A text as UTF-8, with what UTF-8 cannot hold as it is."""
    return text.encode("utf-8", "surrogatepass")


def json_texts(valid: Any) -> st.SearchStrategy[bytes]:
    """JSON: a valid value with a wrong one somewhere inside, or anything."""
    changed = st.builds(replaced, st.just(valid), values, st.integers(0, 2**32))
    written = mostly(changed, values).map(lambda value: json.dumps(value, ensure_ascii=False))
    return mostly(mostly(written, written), st.sampled_from(DEEP)).map(encoded)


def replaced(value: Any, new: Any, seed: int) -> Any:
    """A nested value with another one, or nothing, in a place that the seed chooses."""
    rng = random.Random(seed)
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {other: one for other, one in value.items() if other != key}
        return {**value, key: replaced(value[key], new, rng.randrange(2**32))}
    if isinstance(value, list | tuple) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return [*value[:at], replaced(value[at], new, rng.randrange(2**32)), *value[at + 1 :]]
    return new


def known_settings() -> list[tuple[str, str]]:
    """Every setting of the built-in parts, by its section and its name; and `use`, which chooses the part."""
    found = {("train", name): None for name in signature(TrainSettings).settings}
    for kind in ("energy", "sampler", "init", "data", "watcher"):
        for part in get_registry().of_kind(kind):
            section = f"watch.{part.name}" if kind == "watcher" else kind
            found |= {(section, name): None for name in signature(part.load()).settings}
    return [*found, *((section, "use") for section in ("energy", "sampler", "init", "data", "optimizer"))]


def part_names() -> list[str]:
    """The names of the built-in parts."""
    kinds = ("energy", "sampler", "init", "data")
    return [name for kind in kinds for name in get_registry().names(kind)] + ["adam", "sgd", "lbfgs"]


# Numbers as TOML and `-s` can write them, and values that only look like some.
LITERALS = [
    "1e400",
    "-inf",
    "nan",
    "+nan",
    "0x7fffffffffffffff",
    "1_000",
    "9" * 30,
    "9" * 5000,
    ".5",
    "3.",
    "007",
    "1e",
    "--1",
]
LITERALS += [
    "1979-05-27",
    "07:32:00",
    "1979-05-27T07:32:00Z",
    "'''\n'''",
    '"\\u0000"',
    '"\\ud800"',
    "{a = 1}",
    "[1, [2]]",
    "[,]",
]
LITERALS += [
    "0x" + "f" * 5000,
    "[" * 5000,
    "true",
    "false",
    "none",
    "'x'",
    "[0.1, nan]",
    "[]",
    "{}",
    "=",
    "# x",
    "$(id)",
    "`id`",
    "${HOME}",
]


def literal() -> st.SearchStrategy[str]:
    """The text of a value."""
    names = st.sampled_from(part_names())
    return st.one_of(
        st.sampled_from(LITERALS),
        names,
        names.map(json.dumps),
        numbers.map(str),
        floats.map(repr),
        texts.map(lambda text: json.dumps(text, ensure_ascii=False)),
        texts,
        st.lists(numbers | floats, max_size=4).map(str),
    )


def setting() -> st.SearchStrategy[tuple[str, str]]:
    """A section and a key, mostly such as exist."""
    usual = st.sampled_from(known_settings())
    return mostly(usual, st.tuples(st.sampled_from(SECTIONS) | texts, texts))


def assignments() -> st.SearchStrategy[bytes]:
    """Lines of `section.key=value`, as after `-s`."""
    sign = mostly(st.just("="), st.sampled_from([" = ", ":", "==", ""]))
    pair = st.tuples(setting(), sign, literal()).map(lambda one: f"{one[0][0]}.{one[0][1]}{one[1]}{one[2]}")
    return st.lists(mostly(pair, texts), min_size=1, max_size=3).map("\n".join).map(encoded)


def toml_texts() -> st.SearchStrategy[bytes]:
    """Files of settings: sections, and keys with values; some keys twice, some sections in other notations."""
    line = st.tuples(setting(), mostly(literal().filter(is_toml), literal()))
    return st.lists(line, min_size=1, max_size=5).flatmap(
        lambda lines: st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig"]).map(
            lambda encoding: "".join(toml_line(*one) for one in lines).encode(encoding, "surrogatepass")
        )
    )


def is_toml(text: str) -> bool:
    """Whether this is a value of TOML."""
    try:
        tomllib.loads(f"x = {text}")
    except (ValueError, RecursionError):
        return False
    return True


def toml_line(name: tuple[str, str], value: str) -> str:
    """A section with one setting, in one of the notations of TOML."""
    section, key = name
    if len(value) % 5 == 1:
        return f"{section}.{json.dumps(key)} = {value}\n"
    return f"[{section}]\n{key} = {value}\n"
