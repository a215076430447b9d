"""Writes down the operations that a computation runs, autograd's included, as a graph that can be run again."""

from collections.abc import Callable, Mapping
from operator import getitem
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

aten = torch.ops.aten

# What these give depends on the shape of what they are given, and a recording holds for one shape.
FILLED = {aten.ones_like.default: 1, aten.zeros_like.default: 0}


class Unrecordable(Exception):
    """The computation does not run the same operations for all numbers of a shape."""


class Recording:
    """A graph of one computation, and what it needs besides its argument.

    Attributes:
        graph: One placeholder, and the results as a tuple. Each node that holds a tensor has its `shape`, `dtype` and
            `device` in `meta`.
        tensors: The tensors that were there before, by the name that the graph gets them by.
    """

    def __init__(self, graph: Graph, tensors: Mapping[str, Tensor]) -> None:
        self.graph, self.tensors = graph, tensors

    @property
    def mutates(self) -> bool:
        """Whether an operation writes into a tensor that is there."""
        return any(node.op == "call_function" and _mutable(node.target) for node in self.graph.nodes)


def record(computation: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor) -> Recording:
    """Run `computation` on `x` once and write down what it does with it.

    A result that shares its memory with `x`, or with a tensor that was there before, is copied in the graph: the
    caller may write to it.

    Raises:
        Unrecordable: if it asks for the value of a number, or for tensors whose shape depends on numbers.
    """
    recorder = _Recorder(x)
    with recorder:
        results = computation(x)
    kept = {_memory(tensor) for tensor in (x, *recorder.tensors.values())}
    nodes = [recorder.node(result) for result in results]
    outputs = [
        recorder.graph.call_function(aten.clone.default, (node,)) if _memory(result) in kept else node
        for node, result in zip(nodes, results, strict=True)
    ]
    recorder.graph.output(tuple(outputs))
    return Recording(recorder.graph, recorder.tensors)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation below autograd: those of the forward pass, and those of the backward pass."""

    def __init__(self, x: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph, self.tensors = Graph(), dict[str, Tensor]()
        # A tensor is known by its id, which is its own only while it is alive.
        self.nodes, self.alive = dict[int, Node](), list[Tensor]()
        self.bind(x, self.graph.placeholder("x"))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise torch imports its compiler, which takes two seconds, to keep it away from the next method.
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags):
            raise Unrecordable(f"what it does depends on numbers ({func})")
        known_args, known_kwargs = tree_map_only(Tensor, self.node, (args, kwargs))
        result = func(*args, **kwargs)
        if func is aten.detach.default:
            self.bind(result, known_args[0])
        elif func in FILLED:
            facts = {"dtype": result.dtype, "device": result.device}
            self.bind(result, self.graph.call_function(aten.full.default, (list(result.shape), FILLED[func]), facts))
        else:
            self.bind(result, self.graph.call_function(func, known_args, known_kwargs))
        return result

    def bind(self, result: Any, node: Node) -> None:
        """Remember which node gives the tensor, or the tensors of the list or tuple."""
        if isinstance(result, Tensor):
            node.meta |= {"shape": tuple(result.shape), "dtype": result.dtype, "device": result.device}
            self.nodes[id(result)] = node
            self.alive.append(result)
        elif isinstance(result, list | tuple):
            for place, part in enumerate(result):
                if isinstance(part, Tensor):
                    self.bind(part, self.graph.call_function(getitem, (node, place)))

    def node(self, tensor: Tensor) -> Node:
        """The node that gives a tensor; one that was not computed here was there before."""
        if id(tensor) not in self.nodes:
            name = f"tensor{len(self.tensors)}"
            self.tensors[name] = tensor
            self.bind(tensor, self.graph.get_attr(name))
        return self.nodes[id(tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _mutable(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable
