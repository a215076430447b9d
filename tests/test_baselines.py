"""Reconstructions without a model: their errors, in one pass over the data, with progress."""

import pytest
import torch

from ebmkit.data.examples import Examples
from ebmkit.evaluation.baselines import reconstruction_baselines
from ebmkit.evaluation.nearest import nearest_examples, pca_reconstruction

DATA = torch.rand(50, 1, 6, 7, generator=torch.Generator().manual_seed(0)) * 2 - 1


class Counted(Examples):
    """Examples that record which of them were read."""

    def __init__(self, source):
        self.read = []
        super().__init__(source)

    def fetch(self, indices):
        self.read += indices.tolist()
        return super().fetch(indices)


@pytest.mark.parametrize("batch", [7, 50, 1000])
def test_the_baselines_are_those_of_their_definitions(batch):
    x = torch.cat([DATA[3:5], DATA[3:4] * 0.5])
    found = reconstruction_baselines(x, Examples(DATA), batch=batch)
    near = nearest_examples(x, Examples(DATA), count=2).distance
    nearest = torch.stack([near[0, 1], near[1, 1], near[2, 0]])  # the first two are examples themselves
    assert found == {
        "mean of the data": pytest.approx(float((x - DATA.mean(0)).square().mean())),
        "nearest in the data": pytest.approx(float(nearest.square().mean()) / 42),
        "32 principal components": pytest.approx(float((pca_reconstruction(x, Examples(DATA)) - x).square().mean())),
    }


def test_the_data_are_read_once_beside_the_components():
    examples = Counted(DATA)
    examples.read.clear()
    reconstruction_baselines(DATA[:2], examples, batch=8)
    assert sorted(examples.read) == sorted([*range(50), *range(50)])  # once for all, once for the components


def test_progress_counts_every_example():
    done = []
    reconstruction_baselines(DATA[:2], Examples(DATA), batch=20, on_read=done.append)
    assert done == [20, 20, 10]
