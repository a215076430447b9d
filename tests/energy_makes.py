"""Energies of every make that users write, and what each can do: the rows of a table in docs/testing.md."""

from typing import Any

from network_makes import (
    Attentive,
    Fourier,
    Gated,
    PerExample,
    Recurrent,
    SquaredSlope,
    Tied,
    Transformer,
    Wrapped,
    batch_norm,
    compiled,
    data_parallel,
    dropout,
    lazy,
    network,
    normed,
    scripted,
    synchronised,
)
from odd_makes import (
    Branching,
    ByNumpy,
    Caching,
    Checkpointed,
    Counting,
    Double,
    ExtraState,
    ForgetfulState,
    Frozen,
    Growing,
    Half,
    Hooked,
    LateState,
    Locked,
    NumpyState,
    OnceDifferentiable,
    OnDouble,
    Reentrant,
    Sparse,
    Strided,
    Unregistered,
    a_copy_each_time,
    one_object,
)
from torch import nn
from torch.nn.utils import parametrizations

COLUMNS = ("train", "resume", "sample", "reconstruct", "average", "accelerate", "export")
# What each make cannot do, and in which words it is refused; what is not named works.
MAKES: dict[str, tuple[Any, dict[str, str]]] = {
    "network": (network, {}),
    "wrapped": (Wrapped, {}),
    "batch norm": (batch_norm, {}),
    "synchronised batch norm": (synchronised, {}),
    "dropout": (dropout, {}),
    "weight norm, old": (normed(nn.utils.weight_norm), {}),
    "weight norm, new": (normed(parametrizations.weight_norm), {}),
    "spectral norm, old": (normed(nn.utils.spectral_norm), {}),
    "spectral norm, new": (normed(parametrizations.spectral_norm), {}),
    "lazy": (lazy, {}),
    "compiled": (compiled, {}),
    "scripted": (scripted, {}),
    "data parallel": (data_parallel, {}),
    "tied": (Tied, {}),
    "complex": (Fourier, {}),
    "LSTM": (Recurrent, {}),
    "GRU with dropout": (Gated, {}),
    "torch.func": (PerExample, {}),
    "differentiates itself": (SquaredSlope, {}),
    "attention": (Attentive, {}),
    "transformer": (Transformer, {}),
    "checkpointed": (Checkpointed, {}),
    "checkpointed, reentrant": (Reentrant, {"train": "gives no value and gradient.*use_reentrant"}),
    "partly frozen": (Frozen, {}),
    "double inside": (Double, {}),
    "double only": (OnDouble, {"train": "cannot take examples"}),
    "bfloat16 inside": (Half, {}),
    "counting buffer": (Counting, {}),
    "caching": (Caching, {}),
    "branching": (Branching, {}),
    "extra state": (ExtraState, {"export": "holds tensors, not dict"}),
    "extra state of numpy": (NumpyState, {"train": r"_extra_state\.scale is a numpy\.float64"}),
    "extra state of numpy, later": (LateState, {"train": r"_extra_state\.scale is a numpy\.float32"}),
    "extra state forgotten": (ForgetfulState, {"train": r"is not restored: it\['_extra_state'\]\['scale'\]"}),
    "growing": (Growing, {"train": "cannot be restored: .*mean"}),
    "unregistered": (Unregistered, {"train": "has other values after"}),
    "differentiable once": (OnceDifferentiable, {"reconstruct": "needs the second derivative"}),
    "not to be copied": (Locked, {"average": "train.average needs a copy of energy"}),
    "strided weights": (Strided, {}),
    "sparse weights": (Sparse, {"train": "cannot be trained"}),
    "hooked": (Hooked, {}),
    "by numpy": (ByNumpy, {"train": "does not depend on x through autograd"}),
    "one object": (one_object, {}),
    "a copy each time": (a_copy_each_time, {}),
}


def table() -> str:
    """What each make can do, in Markdown."""
    lines = [f"| energy | {' | '.join(COLUMNS)} |", f"|---{'|---' * len(COLUMNS)}|"]
    for make, (_, refused) in MAKES.items():
        cells = ["refused" if {column, "train"} & refused.keys() else "yes" for column in COLUMNS]
        lines.append(f"| {make} | {' | '.join(cells)} |")
    return "\n".join(lines)
