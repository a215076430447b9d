"""A new plug-in package, generated from the templates: complete, and ready to install."""

import importlib.util
import io
import keyword
import re
import sys
import tempfile
import tokenize
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from shlex import quote
from string import Template
from typing import NoReturn

import ebmkit
from ebmkit.errors import UsageError, nearest
from ebmkit.files import writing
from ebmkit.registry.component import HOOKS
from ebmkit.registry.lookup import get_registry

NAME = re.compile(r"(?!ebmkit-[0-9])[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 30  # letters of a name, so that no generated line is too long
MADE = ("energy", "sampler", "init", "data", "watcher", "features", "method", "network")  # kinds with templates
FUNCTIONS = ("data", "watcher")  # kinds whose part is a function; the other parts are classes


@dataclass(frozen=True)
class Package:
    """A plug-in package with one part, and the names that follow from the name of the package.

    Attributes:
        name: The name for pip, like `ebmkit-my-sampler`.
        kind: One of MADE.
    """

    name: str
    kind: str

    @property
    def module(self) -> str:
        """The name of the module: `ebmkit_my_sampler`."""
        return self.name.replace("-", "_")

    @property
    def file(self) -> str:
        """The name of the module in the package that has the part; that of a hook would replace the hook."""
        return "feature" if self.kind == "features" else self.kind

    @property
    def part(self) -> str:
        """The name by which users select the part: `my_sampler`."""
        return self.name.removeprefix("ebmkit-").replace("-", "_")

    @property
    def target(self) -> str:
        """The name of the part in its module: `MySampler`, or `my_sampler` for a function."""
        return self.part if self.kind in FUNCTIONS else self.camel

    @property
    def camel(self) -> str:
        """The name of the part in the style of a class: `MySampler`."""
        return "".join(word.capitalize() for word in self.part.split("_"))

    @property
    def command(self) -> str:
        """A command that uses the part: a short training, or an evaluation of a run."""
        if self.kind == "features":
            return f"ebmkit evaluate runs/a --features {self.part}"
        if self.kind == "network":
            return f"ebmkit train --method jem -s classifier.use={self.part} --steps 5 --iterations 10"
        option = "watch" if self.kind == "watcher" else self.kind
        return f"ebmkit train --{option} {self.part} --steps 5 --iterations 10"


def create(name: str, kind: str, out: Path) -> list[Path]:
    """Write the package `name` in a folder of that name in `out`, completely or not at all.

    Args:
        name: Lower-case letters, digits and dashes; the name of the part is what follows `ebmkit-`, with underscores.
        kind: energy, sampler, init, data (also called dataset), watcher, features, method or network.
        out: An existing folder.

    Returns:
        The package's folder, then every file in it.

    Raises:
        UsageError: for an invalid or used name, an unknown kind, or a folder that is not empty.
        Unwritten: if a file cannot be written, as on a full disk; nothing is left then.
    """
    kind = "data" if kind == "dataset" else kind
    if kind not in MADE:
        hint = nearest(kind, [*MADE, "dataset"])
        raise UsageError(f"kind must be {', '.join(MADE[:-1])} or {MADE[-1]}, not '{kind}'.{hint}")
    check_name(name)
    package = Package(name, kind)
    place = out / name
    refuse_unfit(package, place)
    refuse_taken(package)
    contents = rendered(package)
    # The rename moves all files at once, and fails if a folder with files has appeared meanwhile.
    with writing(place):
        beside = tempfile.TemporaryDirectory(dir=out, prefix=f".{name}-", ignore_cleanup_errors=True)
    with beside as folder:
        made = Path(folder) / name
        for path, text in contents.items():
            with writing(place / path):
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_text(text, encoding="utf-8")
        with writing(place):
            made.rename(place)
    return [place, *(place / path for path in contents)]


def commands(place: Path, kind: str) -> list[str]:
    """What to type next: install the package that is in `place`, run its tests, and use its part."""
    package = Package(place.name, "data" if kind == "dataset" else kind)
    return [f"pip install --editable {quote(f'{place}[test]')}", f"pytest {quote(str(place))}", package.command]


def check_name(name: str) -> None:
    """Refuse an invalid name of a package, with the nearest valid one.

    Raises:
        UsageError: in this case.
    """
    if NAME.fullmatch(name) and len(name) <= LONGEST:
        return
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
    near = re.sub(r"[^a-z0-9]+", "-", words).strip("-0123456789")[:LONGEST].strip("-")
    shown = " ".join(name.split())
    raise UsageError(
        f"name must be lower-case letters, digits and single dashes, at most {LONGEST}, and begin with a letter, "
        f"not '{shown}'; write {near if NAME.fullmatch(near) else 'one like my-sampler'}"
    )


def refuse_taken(package: Package) -> None:
    """Refuse a name that is already used: in the registry, by Python, or by pip.

    Raises:
        UsageError: in these cases.
    """
    owners = [one.plugin for one in get_registry().components.get((package.kind, package.part), [])]
    if owners:
        refuse(package, f"{owners[0]} already has the {package.kind} '{package.part}'")
    for word in (package.module, package.part, package.camel):
        if keyword.iskeyword(word):
            refuse(package, f"'{word}' is a keyword of Python")
    if package.module in sys.stdlib_module_names or importlib.util.find_spec(package.module) is not None:
        refuse(package, f"there already is a module '{package.module}'")
    with suppress(PackageNotFoundError):
        distribution(package.name)  # pip would remove it for the new one
        refuse(package, f"a package '{package.name}' is already installed")
    if package.target.lower().startswith("test"):
        refuse(package, f"pytest would take '{package.target}' for a test")
    if package.target in used(package.kind):
        refuse(package, f"'{package.target}' has another meaning in the code of {package.kind} '{package.part}'")


def refuse(package: Package, reason: str) -> NoReturn:
    """Refuse a name, with another one to type."""
    stem = package.name.removeprefix("ebmkit-")
    other = f"{stem}-2" if stem.startswith("my-") else f"my-{stem}"
    raise UsageError(f"name '{package.name}' cannot be used: {reason}; write another, like {other}")


def used(kind: str) -> set[str]:
    """The names that the code in a kind's templates uses, except that of the part."""
    sources = [text for path, text in rendered(Package("_", kind)).items() if path.endswith(".py")]
    tokens = tokenize.generate_tokens(io.StringIO("\n".join(sources)).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


def refuse_unfit(package: Package, place: Path) -> None:
    """Refuse a folder that is not empty, or whose parent does not exist.

    Raises:
        UsageError: in these cases.
    """
    if not place.parent.is_dir():
        raise UsageError(f"out must be an existing folder, not {place.parent}; create it with: mkdir -p {place.parent}")
    if place.is_symlink() or (place.exists() and not (place.is_dir() and not any(place.iterdir()))):
        raise UsageError(f"{place} exists and is not overwritten; choose another name than {package.name}, or --out")


def rendered(package: Package) -> dict[str, str]:
    """The text of every file of the package, by its path."""
    words = {
        "package": package.name,
        "module": package.module,
        "name": package.part,
        "target": package.target,
        "kind": package.kind,
        "file": package.file,
        "hook": HOOKS[package.kind],
        "command": package.command,
        "minor": ".".join(ebmkit.__version__.split(".")[:2]),
    }
    templates = files("ebmkit.registry") / "templates"

    def filled(path: str) -> str:
        return Template((templates / path).read_text(encoding="utf-8")).substitute(words)

    for piece in ("about", "use"):
        words[piece] = filled(f"{package.kind}/{piece}.md.txt").rstrip()
    return {
        "pyproject.toml": filled("pyproject.toml.txt"),
        "README.md": filled("README.md.txt"),
        f"{package.module}/__init__.py": filled("hooks.py.txt"),
        f"{package.module}/{package.file}.py": filled(f"{package.kind}/part.py.txt"),
        f"tests/test_{package.part}.py": filled(f"{package.kind}/test.py.txt"),
    }
