"""The hooks: the whole plug-in interface on one screen.

A plug-in is a module that imports quickly, named by an entry point of the group `ebmkit`; it implements any of these
with `@ebmkit.hookimpl`. A component is a class, a function, a `functools.partial` (a variant with other
defaults), or an import string `"package.module:Name"`, which is imported only when it is used. Its positional
parameters are facts that the program knows; its keyword-only parameters become settings.
"""

from collections.abc import Callable
from importlib.resources.abc import Traversable
from typing import Any

import pluggy

PLUGIN_API = 2  # A plug-in may state the version it was written for as `EBMKIT_PLUGIN_API`.

hookspec = pluggy.HookspecMarker("ebmkit")
hookimpl = pluggy.HookimplMarker("ebmkit")

Component = str | Callable[..., Any]


@hookspec
def energies() -> dict[str, Component]:  # type: ignore[empty-body]
    """Energies by name; each is called as `f(shape, **settings)` and returns a `torch.nn.Module`."""


@hookspec
def samplers() -> dict[str, Component]:  # type: ignore[empty-body]
    """Samplers by name; each is called as `f(**settings)` and returns an `ebmkit.Sampler`."""


@hookspec
def inits() -> dict[str, Component]:  # type: ignore[empty-body]
    """Init distributions by name; called as `f(shape, **settings)`, or with `data`, the examples in training."""


@hookspec
def datasets() -> dict[str, Component]:  # type: ignore[empty-body]
    """Data sets by name; called as `f(**settings)`: a tensor or a map-style data set, in [-1, 1] or uint8."""


@hookspec
def watchers() -> dict[str, Component]:  # type: ignore[empty-body]
    """Watchers by name; called as `f(updates, **settings)`, also with `trainer`, `folder`, `examples`, `iterations`,
    `config`, `save`, `keep` or `memory` where asked for. A watcher is a generator: it yields every update that it
    receives.
    """


@hookspec
def features() -> dict[str, Component]:  # type: ignore[empty-body]
    """Features by name; called as `f(data, **settings)`: a map `(n, *shape) -> (n, d)` that samples are judged by."""


@hookspec
def methods() -> dict[str, Component]:  # type: ignore[empty-body]
    """Methods of training by name; called as `f(parts, shape, **settings)`, also with `data`, `rng` or `train` where
    asked for; each is an `ebmkit.Method`, whose `roles` are the sections of its settings.
    """


@hookspec
def networks() -> dict[str, Component]:  # type: ignore[empty-body]
    """Networks by name; called as `f(inputs, outputs, **settings)` with two shapes: a module between them, like a
    generator, a flow, an encoder or a classifier.
    """


@hookspec
def presets() -> Traversable:  # type: ignore[empty-body]
    """The folder of the presets, `importlib.resources.files("my_package") / "presets"`: `NAME.toml` is preset NAME."""
