"""Parts a recording into what changes from one call to the next, and what does not."""

import torch
from torch.fx import Graph, GraphModule, Node

from ebmkit.acceleration.recording import Recording, aten


def folded(recording: Recording) -> tuple[GraphModule, GraphModule]:
    """The recording as two modules, `constants` and `body`.

    `constants() -> tensors` is what does not depend on the argument, but on the tensors that were there before, as on
    the weights; `body(x, *tensors) -> results` is the rest. A tensor that something is written into must be made again
    each time, and so must what is seen through it: where an operation writes, all operations are in `body`.
    """
    *nodes, output = recording.graph.nodes
    mutates = recording.mutates
    moving: dict[Node, None] = {}
    for node in nodes:
        always = node.op == "call_function" and (mutates or _draws(node))
        if node.op == "placeholder" or always or any(one in moving for one in node.all_input_nodes):
            moving[node] = None
    still = [node for node in nodes if node not in moving]
    results = list(output.args[0])
    needed = [node for node in still if node in results or any(user in moving for user in node.users)]
    constants, copies = Graph(), dict[Node, Node]()
    for node in still:
        copies[node] = constants.node_copy(node, copies.__getitem__)
    constants.output(tuple(copies[node] for node in needed))
    body, copies = Graph(), {}
    (x,) = (node for node in moving if node.op == "placeholder")
    for node in (x, *needed):
        copies[node] = body.placeholder(node.name)
    for node in moving:
        if node is not x:
            copies[node] = body.node_copy(node, copies.__getitem__)
    # Whoever is given a result may write to it, so a constant is handed out as a copy.
    ends = [body.call_function(aten.clone.default, (copies[n],)) if n in needed else copies[n] for n in results]
    body.output(tuple(ends))
    for graph in (constants, body):
        if not mutates:
            graph.eliminate_dead_code()
    return GraphModule(dict(recording.tensors), constants), GraphModule({}, body)


def _draws(node: Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
