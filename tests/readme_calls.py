"""Reads the ```py blocks of pages, which are parts of programs: what they import and call must exist.

    python readme_calls.py PAGE...

Nothing in them is run. A call is checked where it is known what is called: a name that was imported, an attribute of a
module or class, or a method of an object that the page itself makes from a class.
"""

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

UNKNOWN = object()


class Instance:
    """What is known of an object that a page makes: its class."""

    def __init__(self, kind: type) -> None:
        self.kind = kind


def problems(text: str) -> list[str]:
    """What the blocks of a page import or call that does not exist; empty if all of it does."""
    known: dict[str, Any] = {}
    found: list[str] = []
    for block in re.findall(r"^```py\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for node in in_order(ast.parse(block)):
            try:
                look(node, known)
            except (ImportError, AttributeError, TypeError) as error:
                found.append(f"{ast.unparse(node)}: {error}")
    return found


def in_order(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a program, each after what it contains, in the order of their lines."""
    for child in ast.iter_child_nodes(tree):
        yield from in_order(child)
    yield tree


def look(node: ast.AST, known: dict[str, Any]) -> None:
    """Import what a node imports, check what it calls, and remember what its names are.

    Raises:
        ImportError: if a module, or a name of it, does not exist.
        AttributeError: if what is called, or is asked of a module, does not exist.
        TypeError: if it does not take these arguments.
    """
    if isinstance(node, ast.Import):
        for one in node.names:
            importlib.import_module(one.name)
            name = one.asname or one.name.partition(".")[0]
            known[name] = sys.modules[one.name if one.asname else name]
    elif isinstance(node, ast.ImportFrom):
        for one in node.names:
            module = importlib.import_module(node.module or "")
            if not hasattr(module, one.name):
                importlib.import_module(f"{node.module}.{one.name}")
            known[one.asname or one.name] = getattr(module, one.name)
    elif isinstance(node, ast.Call):
        check_call(node, known)
    elif isinstance(node, ast.Attribute):
        what(node, known)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        known.pop(node.id, None)
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        known[node.targets[0].id] = what(node.value, known)


def check_call(node: ast.Call, known: dict[str, Any]) -> None:
    """Refuse a call of what does not exist, or with arguments that it does not take."""
    target = what(node.func, known, called=True)
    starred = any(isinstance(one, ast.Starred) for one in node.args) or any(one.arg is None for one in node.keywords)
    if target is UNKNOWN or isinstance(target, Instance) or starred:
        return
    try:
        signature = inspect.signature(target)
    except ValueError:  # as of functions that are written in C
        return
    bound = isinstance(node.func, ast.Attribute) and isinstance(what(node.func.value, known), Instance)
    own = 1 if bound and inspect.isfunction(target) else 0
    signature.bind(*[None] * (own + len(node.args)), **{one.arg: None for one in node.keywords if one.arg})


def what(node: ast.AST, known: dict[str, Any], *, called: bool = False) -> Any:
    """The object that an expression is, or its class as an `Instance`; UNKNOWN if that cannot be seen."""
    if isinstance(node, ast.Name):
        return known.get(node.id, UNKNOWN)
    if isinstance(node, ast.Call):
        made = what(node.func, known)
        return Instance(made) if inspect.isclass(made) else UNKNOWN
    if not isinstance(node, ast.Attribute):
        return UNKNOWN
    owner = what(node.value, known)
    if isinstance(owner, Instance):  # it may have attributes that its class does not show; methods it shows
        return getattr(owner.kind, node.attr) if called else getattr(owner.kind, node.attr, UNKNOWN)
    return getattr(owner, node.attr) if inspect.ismodule(owner) or inspect.isclass(owner) else UNKNOWN


def main() -> int:
    found = [f"{page}: {one}" for page in sys.argv[1:] for one in problems(Path(page).read_text(encoding="utf-8"))]
    print("\n".join(found) or f"what {len(sys.argv) - 1} pages import and call exists")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
