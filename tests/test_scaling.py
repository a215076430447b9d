"""The formulas of docs/scaling.md: counted in an update, and consistent among themselves."""

from pathlib import Path

import benchmark_cases  # noqa: F401 - finds benchmarks/, or skips
import costs
import extrapolation
import pytest
import scaling
import torch

from ebmkit.processes import Processes


@pytest.mark.parametrize("case", scaling.CASES, ids=lambda case: case.network.name)
def test_the_formulas_are_what_one_process_counts(case):
    weights = list(case.build().parameters())
    assert case.network.weights == sum(one.numel() for one in weights)
    assert case.network.tensors == len(weights)
    found, expected = scaling.counted(case, Processes()), scaling.expected(case, 1)
    assert found["operations"] == expected["operations"]
    # Adam counts its steps in a tensor of each weight, and each scalar of the loss keeps something.
    assert 0 <= found["state"] - expected["state"] <= 4 * len(weights)
    assert 0 <= found["kept"] - expected["kept"] <= 64


class Summing(Processes):
    """Two processes that do the same, and the bytes of their sums."""

    def __init__(self):
        super().__init__(size=2)
        self.summed = []

    def sum(self, values):
        self.summed.append(values.nbytes)
        return values * 2


@pytest.mark.parametrize("case", scaling.CASES, ids=lambda case: case.network.name)
def test_an_update_has_one_sum_of_the_expected_size(case):
    processes = Summing()
    scaling.trainer_of(case, processes).update(torch.rand(case.training.batch // 2, *case.shape))
    assert processes.summed == [costs.summed_bytes(case.network)]


@pytest.mark.parametrize(("processes", "machine"), extrapolation.SIZES)
def test_the_crossing_is_the_least_batch_within_the_limit(processes, machine):
    for network in extrapolation.NETWORKS:
        part = extrapolation.crossing(network, processes, machine)
        shares = [
            costs.communication(network, costs.Training(extrapolation.STEPS, size * processes, processes), machine)
            for size in range(max(part - 1, 1), part + 1)
        ]
        assert shares[-1] <= extrapolation.LIMIT
        assert part == 1 or shares[0] > extrapolation.LIMIT


def test_the_page_shows_the_tables_of_the_formulas():
    text = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text(encoding="utf-8")
    for table in extrapolation.tables():
        for row in table.rows:
            assert f"| {' | '.join(row)} |" in text
    for case in scaling.CASES:
        for size in (1, 2, 4):
            expected = scaling.expected(case, size)
            assert f"| {case.network.name} | {size} | {expected['operations']:,.0f} |" in text
