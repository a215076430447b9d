"""What one update of training costs in each process, as formulas: docs/scaling.md derives them."""

import math
from dataclasses import dataclass
from itertools import pairwise

from ebmkit.energies.stages import STAGES
from ebmkit.methods.sharing import SCALARS

FP32 = 4  # bytes


@dataclass(frozen=True)
class Network:
    """What the formulas need to know of a network.

    Attributes:
        name: What it is.
        example: F, G and M below are per example; this is D, the number of its values.
        weights: P, the number of weights.
        tensors: T, how many tensors the weights are in.
        kept: How many weights a pass with a graph keeps for its way back.
        forward: F, the operations of a forward pass; an addition and a multiplication count as one each.
        first: G, those of the first layer.
        maps: M, how many values the layers hand on.
    """

    name: str
    example: int
    weights: int
    tensors: int
    kept: int
    forward: int
    first: int
    maps: int


def convnet(channels: int, size: int, width: int) -> Network:
    """The network `convnet` on images `(channels, size, size)`."""
    maps = [channels, *(width * factor for factor in STAGES[size])]
    sizes = [size // 2**stage for stage in range(len(maps) - 1)]
    layers = [(channels, width, 3, size)]
    layers += [(before, after, 4, out) for (before, after), out in zip(pairwise(maps[1:]), sizes[1:], strict=True)]
    layers += [(maps[-1], 1, 4, 1)]
    products = [before * after * kernel**2 for before, after, kernel, _ in layers]
    counts = [2 * product * out**2 for product, (*_, out) in zip(products, layers, strict=True)]
    return Network(
        name=f"convnet, {size}x{size}x{channels}, width {width}",
        example=channels * size**2,
        weights=sum(products) + sum(after for _, after, *_ in layers),
        tensors=2 * len(layers),
        kept=sum(products),
        forward=sum(counts),
        first=counts[0],
        maps=sum(after * out**2 for _, after, _, out in layers[:-1]),
    )


def mlp(values: int, width: int, depth: int) -> Network:
    """The network `mlp` on examples of this many values."""
    units = [values, *[width] * depth, 1]
    products = [before * after for before, after in pairwise(units)]
    return Network(
        name=f"mlp, {values} values, width {width}",
        example=values,
        weights=sum(products) + sum(units[1:]),
        tensors=2 * len(products),
        kept=sum(products[1:]),  # the gradient by the examples is not needed
        forward=2 * sum(products),
        first=2 * products[0],
        maps=width * depth,
    )


@dataclass(frozen=True)
class Training:
    """What the formulas need to know of a training.

    Attributes:
        steps: K, for a sampler with one gradient in each step.
        batch: B, the batch of all processes together.
        processes: N.
        penalty: Whether the loss has a gradient penalty.
        average: Whether there is a moving average of the weights.
        bank: How many chains the replay buffer of each process holds.
        moments: How many values the optimiser keeps of each weight: 2 for Adam, 0 for plain descent.
    """

    steps: int
    batch: int
    processes: int = 1
    penalty: bool = False
    average: bool = False
    bank: int = 0
    moments: int = 2

    @property
    def part(self) -> int:
        """The batch of each process, b."""
        return self.batch // self.processes


def operations(network: Network, training: Training) -> int:
    """Floating-point operations: b (2 K F + 2 (3 F - G)); with a gradient penalty the batch costs 6 F, not 3 F - G."""
    once = 3 * network.forward - network.first  # forward, and back to the weights and to each layer but the first
    batch = 6 * network.forward if training.penalty else once
    return training.part * (2 * training.steps * network.forward + batch + once)


def state_bytes(network: Network, training: Training) -> int:
    """Bytes held between updates: weights, gradients, moments, average, and the replay buffer."""
    copies = 2 + training.moments + training.average
    return FP32 * (network.weights * copies + training.bank * network.example)


def pass_bytes(network: Network, training: Training) -> int:
    """Bytes that the gradient of the loss keeps for its way back: more than any step of a chain does.

    Each layer's activation keeps what it was given and what it handed on: 2 b (D + 2 M), for the batch and the samples.
    A gradient penalty keeps the gradient by each of them as well, b (D + M).
    """
    values = 2 * training.part * (network.example + 2 * network.maps)
    if training.penalty:
        values += training.part * (network.example + network.maps)
    return FP32 * (values + network.kept)


def summed_bytes(network: Network) -> int:
    """S, the bytes of the one sum of an update: gradients, scalars, and a sign of each of these and of each weight."""
    return FP32 * (network.weights + len(SCALARS) + network.tensors + len(SCALARS) + 2)


def sent_bytes(network: Network, training: Training) -> float:
    """Bytes that each process sends in a ring: 2 (N - 1) / N S."""
    return 2 * (training.processes - 1) / training.processes * summed_bytes(network)


@dataclass(frozen=True)
class Machine:
    """Assumptions about GPUs and what connects them.

    Attributes:
        name: What it is.
        rate: Operations per second of one GPU, as published.
        used: The share of `rate` that the passes reach.
        shortest: The shortest time of a pass, in seconds, where operations are too few to fill the GPU.
        bandwidth: Bytes per second that one GPU sends.
        hop: Seconds that a message takes; a sum takes 2 log2 N of them, as in a tree.
    """

    name: str
    rate: float
    used: float
    shortest: float
    bandwidth: float
    hop: float


def compute_seconds(network: Network, training: Training, machine: Machine) -> float:
    """Seconds of an update without its sum; K + 3 passes at least, K + 4 with a gradient penalty."""
    passes = training.steps + 3 + training.penalty
    return max(operations(network, training) / (machine.rate * machine.used), passes * machine.shortest)


def sum_seconds(network: Network, training: Training, machine: Machine) -> float:
    """Seconds of the sum, with which nothing overlaps."""
    if training.processes == 1:
        return 0.0
    hops = 2 * math.ceil(math.log2(training.processes))
    return sent_bytes(network, training) / machine.bandwidth + hops * machine.hop


def communication(network: Network, training: Training, machine: Machine) -> float:
    """The share of the sum in an update."""
    summed = sum_seconds(network, training, machine)
    return summed / (summed + compute_seconds(network, training, machine))
