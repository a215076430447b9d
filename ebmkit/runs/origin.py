"""A new run that starts from another: with its settings, weights, moving averages and the states of its inits."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ebmkit.config.layers import Layer, Value
from ebmkit.config.recipe import Recipe
from ebmkit.config.resolution import resolve
from ebmkit.config.sections import class_of
from ebmkit.errors import UsageError, one_line
from ebmkit.methods.method import Method
from ebmkit.runs.model import pick_weights, read_model
from ebmkit.runs.saved import SavedModel, bytes_of


def read_origin(place: str | Path) -> SavedModel:
    """What a new run starts from: a run's folder, one of its checkpoints, or a model file.

    Raises:
        UsageError: if the place is none of these.
    """
    return read_model(Path(place))


def settings_of(saved: SavedModel) -> Layer:
    """The settings that a new run starts with: those of another, and what its method changes in a run that goes on."""
    recipe = resolve([saved.layer], "model")
    changes = class_of(recipe.parts["method"]).continued(recipe.settings("method"), saved.updates)
    layer = Layer(saved.layer.name, dict(saved.layer.sections), saved.layer.places)
    origin = f"--from, after {saved.updates} updates"
    layer.sections["method"] = {
        **layer.sections.get("method", {}),
        **{key: Value(value, origin) for key, value in changes.items()},
    }
    return layer


def start_from(saved: SavedModel, trainer: Method, recipe: Recipe, shape: tuple[int, ...]) -> dict[str, Any]:
    """Give a method that has made no update the networks, moving averages and inits of another run.

    A moving average starts from that of the other run, or from its weights if it kept none. The optimisers start from
    nothing. The state of an init, a replay buffer or a fitted start, is loaded if both runs have the same init.

    Returns:
        The origin as in `env.json`: `source`, `update` and `fingerprint`, the first 16 digits of the SHA-256 hash of
        the weights.

    Raises:
        UsageError: if a network or the shape of an example is another, or the weights are not finite.
    """
    if saved.shape != shape:
        raise UsageError(f"{saved.source} is a model of examples {saved.shape}, but the data have shape {shape}")
    states = saved.states["last" if "last" in saved.states else pick_weights(saved, "auto")]
    weights = weights_in(saved, states, list(trainer.networks))
    if not all(bool(value.isfinite().all()) for value in weights.values() if isinstance(value, Tensor)):
        raise UsageError(
            f"the weights in {saved.source} are not finite: choose a checkpoint from before the divergence"
        )
    for name, network in trainer.networks.items():
        try:
            network.load_state_dict(dict(states[name]))
            if average := trainer.averages.get(name):
                average.module.load_state_dict(dict(saved.states.get("average", states)[name]))
                # An average that counts no update is replaced by the weights after the first.
                average.n_averaged.fill_(1)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            reason = differences(saved, recipe, name) or one_line(error)[:200]
            raise UsageError(f"{saved.source} has another {name}: {reason}") from error
    for name in set(trainer.drawn_from) - set(trainer.networks):
        use = saved.layer.sections.get(name, {}).get("use")
        if states.get(name) and use is not None and use.value == recipe.sections.get(name, {}).get("use"):
            try:
                trainer.stateful[name].load_state_dict(states[name])
            except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
                raise UsageError(
                    f"the {use.value} start in {saved.source} does not fit: {one_line(error)[:200]}"
                ) from error
    return {"source": str(saved.source.absolute()), "update": saved.updates, "fingerprint": fingerprint(weights)}


def weights_in(saved: SavedModel, states: Mapping[str, Mapping[str, Any]], networks: Sequence[str]) -> dict[str, Any]:
    """The weights of these networks by name; with the name of the network in front if there are several.

    Raises:
        UsageError: if the model does not have one of them.
    """
    for name in networks:
        if name not in states:
            raise UsageError(
                f"{saved.source} has no network '{name}', which this method needs; it has {', '.join(states)}"
            )
    several = len(networks) > 1
    return {
        f"{network}.{name}" if several else name: value
        for network in networks
        for name, value in states[network].items()
    }


def differences(saved: SavedModel, recipe: Recipe, section: str) -> str:
    """The settings of a section in which a recipe differs from a saved model, as text."""
    before = {key: value.value for key, value in saved.layer.sections.get(section, {}).items()}
    now = recipe.plain.get(section, {})
    found = [
        f"{section}.{key} is {before.get(key, 'absent')} there and {now.get(key, 'absent')} here"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    return "; ".join(found)


def fingerprint(weights: Mapping[str, Any]) -> str:
    """16 digits of the SHA-256 hash of the weights, with their names, in alphabetical order."""
    found = hashlib.sha256()
    for part in pieces(weights):
        found.update(part)
    return found.hexdigest()[:16]


def pieces(value: Any) -> Iterator[bytes]:
    """What a state consists of, in a fixed order: names, tensors and plain values."""
    if isinstance(value, Tensor):
        yield bytes_of(value)
    elif isinstance(value, Mapping):
        for name in sorted(value, key=str):
            yield str(name).encode()
            yield from pieces(value[name])
    elif isinstance(value, list | tuple):
        for one in value:
            yield from pieces(one)
    else:
        yield repr(value).encode()
