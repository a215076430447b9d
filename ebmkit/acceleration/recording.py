"""Writes down the operations that a computation runs, autograd's included, as a graph that can be run again."""

from collections.abc import Callable, Mapping
from operator import getitem
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, Node
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

aten = torch.ops.aten

# Through these, numbers leave torch, and what is done to them there no operation shows.
EXITS = {Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.__dlpack__}
# What these give depends on the shape of what they are given, and a recording holds for one shape.
FILLED = {aten.ones_like.default: 1, aten.zeros_like.default: 0}


class Unrecordable(Exception):
    """The computation does not run the same operations for all numbers of a shape."""


class Recording:
    """A graph of one computation, and what it needs besides its argument.

    Attributes:
        graph: One placeholder, and the results as a tuple. Each node that holds a tensor has its `shape`, `stride`,
            `dtype` and `device` in `meta`.
        tensors: The tensors that were there before, by the name that the graph gets them by.
    """

    def __init__(self, graph: Graph, tensors: Mapping[str, Tensor]) -> None:
        self.graph, self.tensors = graph, tensors

    @property
    def mutates(self) -> bool:
        """Whether an operation writes into a tensor that is there."""
        return any(node.op == "call_function" and _mutable(node.target) for node in self.graph.nodes)

    def copy(self) -> "Recording":
        """The same, with a graph of its own."""
        graph, nodes = Graph(), dict[Node, Node]()
        graph.output(graph.graph_copy(self.graph, nodes))
        return Recording(graph, self.tensors)


def record(computation: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor) -> Recording:
    """Run `computation` on `x` once and write down what it does with it.

    A result that shares its memory with `x`, or with a tensor that was there before, is copied in the graph: the
    caller may write to it.

    Raises:
        Unrecordable: if it asks for the value of a number, or for tensors whose shape depends on numbers, or takes
            numbers out of torch.
    """
    recorder = _Recorder(x)
    with _Exits(), recorder:
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
        if _depends_on_numbers(func, args):
            raise Unrecordable(f"its operations depend on the values of tensors ({func})")
        recorded = self.functional(func, args)
        known_args, known_kwargs = tree_map_only(Tensor, self.node, (args, kwargs))
        result = func(*args, **kwargs)
        if func is aten.detach.default:
            self.bind(result, known_args[0])
        elif func in FILLED:
            facts = {"dtype": result.dtype, "device": result.device}
            self.bind(result, self.graph.call_function(aten.full.default, (list(result.shape), FILLED[func]), facts))
        else:
            self.bind(result, self.graph.call_function(recorded, known_args, known_kwargs))
        return result

    def bind(self, result: Any, node: Node) -> None:
        """Remember which node gives the tensor, or the tensors of the list or tuple."""
        if isinstance(result, Tensor):
            form = {"shape": tuple(result.shape), "stride": result.stride()}
            node.meta |= form | {"dtype": result.dtype, "device": result.device}
            self.nodes[id(result)] = node
            self.alive.append(result)
        elif isinstance(result, list | tuple):
            for place, part in enumerate(result):
                if isinstance(part, Tensor):
                    self.bind(part, self.graph.call_function(getitem, (node, place)))

    def functional(self, func: Any, args: tuple[Any, ...]) -> Any:
        """What gives a new tensor in place of the one that `func` writes into, where nobody sees it; else `func`."""
        name = func._schema.name.removeprefix("aten::")
        if not func._schema.is_mutable or not name.endswith("_"):
            return func
        given = [one for one in args if isinstance(one, Tensor)]
        if not given or given[0] is not args[0] or not self.unshared(given[0]) or len({one.dtype for one in given}) > 1:
            return func
        return getattr(getattr(aten, name[:-1], None), func._overloadname, func)

    def unshared(self, tensor: Tensor) -> bool:
        """Whether a tensor was computed here, and nothing else that is known shares its memory."""
        node, memory = self.nodes.get(id(tensor)), _memory(tensor)
        computed = node is not None and node.op == "call_function"
        return computed and all(one is tensor or _memory(one) != memory for one in self.alive)

    def node(self, tensor: Tensor) -> Node:
        """The node that gives a tensor; one that was not computed here was there before."""
        if id(tensor) not in self.nodes:
            name = f"tensor{len(self.tensors)}"
            self.tensors[name] = tensor
            self.bind(tensor, self.graph.get_attr(name))
        return self.nodes[id(tensor)]


class _Exits(TorchFunctionMode):
    """Sees numbers leave torch."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in EXITS:
            raise Unrecordable(f"it takes numbers out of torch ({func.__name__})")
        return func(*args, **(kwargs or {}))


def _depends_on_numbers(func: Any, args: tuple[Any, ...]) -> bool:
    if func is aten.index.Tensor:
        # torch marks it for its masks; by whole numbers it takes as many as there are.
        return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    return bool({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(func.tags))


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _mutable(target: Any) -> bool:
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable
