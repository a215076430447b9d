"""Convolutions on a CPU as oneDNN likes them best: weights reordered beforehand, LeakyReLU in the same operation.

These are the operations that torch's own compiler puts in for convolutions on a CPU.
"""

from typing import Any

import torch
from torch.fx import Graph, Node

from ebmkit.acceleration.precision import onednn
from ebmkit.acceleration.recording import Recording, aten

mkldnn = torch.ops.mkldnn


def pack(recording: Recording) -> None:
    """Replace the two-dimensional convolutions of a recording, forward and backward, in place.

    Not where an operation writes into a tensor: that could be what LeakyReLU gave, which tells its gradient.
    """
    if recording.mutates:
        return
    for node in list(recording.graph.nodes):
        with recording.graph.inserting_before(node):
            if node.target is aten.convolution.default:
                _forward(recording.graph, node)
            elif node.target is aten.convolution_backward.default:
                _backward(recording.graph, node)
            elif node.target is aten.view.default:
                # What oneDNN gives may lie otherwise in memory, where a view is no view.
                node.target = aten.reshape.default


def _forward(graph: Graph, node: Node) -> None:
    args: Any = node.args
    x, weight, bias, stride, padding, dilation, transposed, _, groups = args
    if transposed or not _fits(x, weight):
        return
    weight = graph.call_function(
        mkldnn._reorder_convolution_weight.default, (weight, padding, stride, dilation, groups, _shape(x))
    )
    leaky = _leaky(node)
    slope = leaky.args[1] if leaky else None
    activation = ("leaky_relu", [slope], "") if leaky else ("none", [], "")
    result = graph.call_function(
        mkldnn._convolution_pointwise.default, (x, weight, bias, padding, stride, dilation, groups, *activation)
    )
    result.meta = node.meta
    if leaky:
        # LeakyReLU keeps the sign, so its gradient can be told from what came out as well as from what went in.
        for user in list(node.users):
            if user is not leaky:
                user.args = (user.args[0], result, slope, True)
        leaky.replace_all_uses_with(result)
        graph.erase_node(leaky)
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def _leaky(node: Node) -> Node | None:
    """The LeakyReLU that, but for its own gradient, is all that sees what this convolution gives."""
    leaky = [user for user in node.users if user.target is aten.leaky_relu.default]
    others = [user for user in node.users if user not in leaky]
    own = all(user.target is aten.leaky_relu_backward.default and user.args[0] is not node for user in others)
    slope: Any = leaky[0].args[1] if len(leaky) == 1 and len(leaky[0].args) == 2 else -1.0
    return leaky[0] if own and slope >= 0 else None


def _backward(graph: Graph, node: Node) -> None:
    args: Any = node.args
    gradient, x, weight, _, stride, padding, dilation, transposed, _, groups, wanted = args
    if transposed or list(wanted) != [True, False, False] or not _fits(x, weight):
        return
    reach = [
        (size - 1) * step - 2 * pad + spread * (kernel - 1) + 1
        for size, step, pad, spread, kernel in zip(
            _shape(gradient)[2:], stride, padding, dilation, _shape(weight)[2:], strict=True
        )
    ]
    rest = [full - size for full, size in zip(_shape(x)[2:], reach, strict=True)]
    weight = graph.call_function(
        mkldnn._reorder_convolution_transpose_weight.default,
        (weight, padding, rest, stride, dilation, groups, _shape(gradient)),
    )
    result = graph.call_function(
        mkldnn._convolution_transpose_pointwise.default,
        (gradient, weight, None, padding, rest, stride, dilation, groups, "none", [], ""),
    )
    for user in list(node.users):
        user.replace_all_uses_with(result)
        graph.erase_node(user)
    graph.erase_node(node)


def _fits(x: Node, weight: Node) -> bool:
    dtype, device = x.meta["dtype"], x.meta["device"]
    images = len(_shape(x)) == len(_shape(weight)) == 4 and weight.meta["dtype"] == dtype
    return images and device.type == "cpu" and onednn(dtype)


def _shape(node: Node) -> list[int]:
    return list(node.meta["shape"])
