"""What the formulas of `costs` say of many GPUs, under assumptions that are named. Nothing here is measured."""

from dataclasses import replace

from costs import (
    Machine,
    Network,
    Training,
    communication,
    compute_seconds,
    convnet,
    operations,
    sent_bytes,
    sum_seconds,
)
from tables import Table

LIMIT = 0.05  # of an update
STEPS, BATCH = 100, 4096
MOST = 2**20  # examples of one process, above which no crossing is looked for
NETWORKS = (convnet(3, 32, 32), convnet(3, 32, 128), convnet(3, 32, 512), convnet(3, 64, 128), convnet(3, 128, 128))
# H100 SXM, as published: 989 TFLOP/s in bf16 without sparsity; NVLink 450 GB/s each way; 400 Gb/s of network each GPU.
ONE_MACHINE = Machine("8 GPUs, NVLink", 989e12, 0.4, 50e-6, 450e9, 10e-6)
NETWORK = Machine("512 GPUs, 400 Gb/s each", 989e12, 0.4, 50e-6, 50e9, 10e-6)
SIZES = ((8, ONE_MACHINE), (512, NETWORK))


def crossing(network: Network, processes: int, machine: Machine, steps: int = STEPS) -> int:
    """The least batch of one process with which the sum takes at most LIMIT of an update; 1 if it always does."""

    def takes_more(part: int) -> bool:
        return communication(network, Training(steps, part * processes, processes), machine) > LIMIT

    low, high = 0, 1  # `low` takes more, or is 0
    while takes_more(high):
        low, high = high, 2 * high
        if high > MOST:
            raise ValueError(f"the sum takes more than {LIMIT:.0%} of any update of {network.name}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if takes_more(middle) else (low, middle)
    return high


def update_table(batch: int) -> Table:
    """Costs of an update with a batch of all processes together that does not depend on their number."""
    rows = []
    for network in NETWORKS:
        for processes, machine in ((1, ONE_MACHINE), *SIZES):
            training = Training(STEPS, batch, processes)
            rows.append(
                [
                    network.name,
                    f"{network.weights:,}",
                    str(processes),
                    f"{operations(network, training):.2g}",
                    f"{sent_bytes(network, training) / 1e6:.3g} MB",
                    f"{1e3 * compute_seconds(network, training, machine):.3g} ms",
                    f"{1e3 * sum_seconds(network, training, machine):.2g} ms",
                    f"{communication(network, training, machine):.1%}",
                ]
            )
    columns = ["network", "weights", "N", "operations", "sent", "passes", "sum", "share of the sum"]
    return Table(f"One update, K = {STEPS}, B = {batch} of all processes together", columns, rows)


def crossing_table() -> Table:
    """The least batch of one process for LIMIT, at the assumed use of the GPUs and where they reach their rate."""
    rows = []
    for network in NETWORKS:
        row = [network.name]
        for processes, machine in SIZES:
            fastest = replace(machine, used=1.0, shortest=0.0)
            row += [str(crossing(network, processes, one)) for one in (machine, fastest)]
        rows.append(row)
    heads = [text for _, machine in SIZES for text in (machine.name, "the same, at the full rate")]
    return Table(f"The batch of one process below which the sum takes more than {LIMIT:.0%}", ["network", *heads], rows)


def network_table() -> Table:
    """What the formulas need to know of the networks."""
    rows = [
        [
            one.name,
            f"{one.weights:,}",
            f"{one.forward / 1e6:,.1f} million",
            f"{one.forward / one.weights:.0f}",
            f"{8 * (one.example + 2 * one.maps) / 1e6:.2f} MB",
        ]
        for one in NETWORKS
    ]
    return Table("Networks", ["network", "P", "F", "F / P", "8 (D + 2 M)"], rows)


def tables() -> list[Table]:
    """All tables."""
    return [network_table(), update_table(BATCH), crossing_table()]
