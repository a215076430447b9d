"""A new run that starts from another: with its settings, weights, moving average and the state of its init."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ebmkit.config.recipe import Recipe
from ebmkit.errors import UsageError, one_line
from ebmkit.methods.maximum_likelihood import Trainer
from ebmkit.runs.model import pick_weights, read_model
from ebmkit.runs.saved import SavedModel, bytes_of


def read_origin(place: str | Path) -> SavedModel:
    """What a new run starts from: a run's folder, one of its checkpoints, or a model file.

    Raises:
        UsageError: if the place is none of these.
    """
    return read_model(Path(place))


def start_from(saved: SavedModel, trainer: Trainer, recipe: Recipe, shape: tuple[int, ...]) -> dict[str, Any]:
    """Give a trainer that has made no update the weights, moving average and init of another run.

    The moving average starts from that of the other run, or from its weights if it kept none. The optimiser starts
    from nothing. The state of the init, a replay buffer or a fitted start, is loaded if both runs have the same init.

    Returns:
        The origin as in `env.json`: `source`, `update` and `fingerprint`, the first 16 digits of the SHA-256 hash of
        the weights.

    Raises:
        UsageError: if the energy or the shape of an example is another, or the weights are not finite.
    """
    if saved.shape != shape:
        raise UsageError(f"{saved.source} is a model of examples {saved.shape}, but the data have shape {shape}")
    weights = saved.weights["last" if "last" in saved.weights else pick_weights(saved, "auto")]
    if not all(bool(value.isfinite().all()) for value in weights.values() if isinstance(value, Tensor)):
        raise UsageError(
            f"the weights in {saved.source} are not finite: choose a checkpoint from before the divergence"
        )
    try:
        trainer.energy.load_state_dict(dict(weights))
        if trainer.averaged is not None:
            trainer.averaged.module.load_state_dict(dict(saved.weights.get("average", weights)))
            # An average that counts no update is replaced by the weights after the first.
            trainer.averaged.n_averaged.fill_(1)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = differences(saved, recipe) or one_line(error)[:200]
        raise UsageError(f"{saved.source} has another energy: {reason}") from error
    use = saved.layer.sections.get("init", {}).get("use")
    if saved.init and use is not None and use.value == recipe.sections["init"]["use"]:
        try:
            trainer.init.load_state_dict(saved.init)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise UsageError(
                f"the {use.value} start in {saved.source} does not fit: {one_line(error)[:200]}"
            ) from error
    return {"source": str(saved.source.absolute()), "update": saved.updates, "fingerprint": fingerprint(weights)}


def differences(saved: SavedModel, recipe: Recipe) -> str:
    """The settings of the energy in which a recipe differs from a saved model, as text."""
    before = {key: value.value for key, value in saved.layer.sections.get("energy", {}).items()}
    now = recipe.plain["energy"]
    found = [
        f"energy.{key} is {before.get(key, 'absent')} there and {now.get(key, 'absent')} here"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    return "; ".join(found)


def fingerprint(weights: Mapping[str, Any]) -> str:
    """16 digits of the SHA-256 hash of the weights, with their names, in alphabetical order."""
    found = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name]
        found.update(name.encode())
        if isinstance(value, Tensor):
            found.update(bytes_of(value))
    return found.hexdigest()[:16]
