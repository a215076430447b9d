"""Puts the convolutions of oneDNN into a recording: weights reordered beforehand, LeakyReLU in the same operation."""

from dataclasses import replace
from typing import Any

import torch
from torch.fx import Graph, Node

from ebmkit.acceleration.convolutions import Convolution, Form, backward_holds, forward_holds
from ebmkit.acceleration.precision import onednn
from ebmkit.acceleration.recording import Recording, aten


def pack(recording: Recording) -> None:
    """Replace the two-dimensional convolutions of a recording, forward and backward, in place.

    A convolution that oneDNN gets wrong stays as it was, and only that one. None is replaced where an operation writes
    into a tensor: that could be what LeakyReLU gave, which decides its gradient.
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
    places = tuple(stride), tuple(padding), tuple(dilation), groups
    plain = Convolution(_form(x), _form(weight), _form(node), bias is not None, *places)
    leaky, threads = _leaky(node), torch.get_num_threads()
    if leaky is not None:
        slope: Any = leaky.args[1]
        layer = replace(plain, slope=slope)
        leaky = leaky if forward_holds(layer, threads) else None
    if leaky is None:
        layer = plain
        if not forward_holds(layer, threads):
            return
    result = layer.packed(graph.call_function, x, weight, bias)
    result.meta = node.meta
    if leaky is not None:
        # LeakyReLU keeps the sign, so its gradient follows from what came out as well as from what went in.
        for user in list(node.users):
            if user is not leaky:
                user.args = (user.args[0], result, layer.slope, True)
        leaky.replace_all_uses_with(result)
        graph.erase_node(leaky)
    node.replace_all_uses_with(result)
    graph.erase_node(node)


def _leaky(node: Node) -> Node | None:
    """The LeakyReLU that, except for its own gradient, is all that sees what this convolution gives."""
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
    places = tuple(stride), tuple(padding), tuple(dilation), groups
    layer = Convolution(_form(x), _form(weight), _form(gradient), False, *places)
    if not backward_holds(layer, torch.get_num_threads()):
        return
    result = layer.packed_backward(graph.call_function, gradient, weight)
    for user in list(node.users):
        user.replace_all_uses_with(result)
        graph.erase_node(user)
    graph.erase_node(node)


def _fits(x: Node, weight: Node) -> bool:
    dtype, device = x.meta["dtype"], x.meta["device"]
    images = len(x.meta["shape"]) == len(weight.meta["shape"]) == 4 and weight.meta["dtype"] == dtype
    return images and device.type == "cpu" and onednn(dtype)


def _form(node: Node) -> Form:
    return Form(node.meta["shape"], node.meta["stride"], node.meta["dtype"])
