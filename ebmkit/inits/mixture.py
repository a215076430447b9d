"""A mixture of Gaussians that is fitted to the data as p_0."""

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

import torch
from torch import Generator, Tensor

from ebmkit.errors import UsageError, check
from ebmkit.inits.chosen import ChosenExamples
from ebmkit.inits.clusters import clustered
from ebmkit.inits.covariances import square_root
from ebmkit.inits.data import Source
from ebmkit.inits.fitting import FittedInit

# The most values of all covariances together: 64 MB, in each checkpoint too.
LARGEST = 2**24


@dataclass(eq=False)
class GaussianMixture(FittedInit):
    """Chains start at draws of a mixture of Gaussians, one for each cluster of the data.

    The clusters are those of k-means. Component k has the weight n_k / n, the mean of its cluster, and the covariance
    scale * ((1 - shrinkage) C_k + shrinkage * W) + ridge * I, with C_k the covariance of the cluster and W the mean of
    all C_k, each weighted by n_k. Like `fitted`, it does not change in training, and is saved with the model. With many
    components it is a model of the data by itself: compare the scores of the starts with those of the samples.

    Source: Friedman, "Regularized discriminant analysis", 1989, equation 16: shrinkage to the pooled covariance.

    Args:
        components: How many Gaussians.
        shrinkage: How far each covariance is moved to the mean one: 0 not at all, 1 makes all the same.
        scale: Factor of the covariances.
        ridge: Variance of the white noise that is added.
        limit: The most examples that are read and held in memory, a fixed random choice; none reads all.

    Raises:
        UsageError: if a setting is outside its range, the covariances would need more than 64 MB, or there are fewer
            examples than components.
    """

    shape: tuple[int, ...]
    data: Source
    _: KW_ONLY
    components: int = 10
    shrinkage: float = 0.2
    scale: float = 1.0
    ridge: float = 0.01
    limit: int | None = 10_000

    def __post_init__(self) -> None:
        check("components", self.components, at_least=1)
        check("shrinkage", self.shrinkage, at_least=0, at_most=1)
        check("scale", self.scale, at_least=0)
        check("ridge", self.ridge, above=0)
        if self.limit is not None:
            check("limit", self.limit, at_least=1)
        values = math.prod(self.sizes["factors"])
        if values > LARGEST:
            raise UsageError(
                f"components {self.components} of examples of shape {self.shape} need {values:,} values, more than "
                f"{LARGEST:,}: write -s init.use=fitted"
            )

    @property
    def centre(self) -> Tensor:
        """The mean of the mixture, which is that of the data, `(*shape)`."""
        fitted = self.state_dict()
        return (fitted["weights"] @ fitted["means"]).view(self.shape)

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of weights, means, and the roots of the covariances."""
        count, d = self.components, math.prod(self.shape)
        return {"weights": (count,), "means": (count, d), "factors": (count, d, d)}

    def fit(self) -> dict[str, Tensor]:
        """The moments of each cluster.

        Raises:
            UsageError: if there are fewer examples than components.
        """
        examples = ChosenExamples(self.data, self.shape, self.limit)
        if len(examples) < self.components:
            raise UsageError(
                f"components must be at most the number of examples, {len(examples)}, not {self.components}"
            )
        x = torch.cat([batch.flatten(1) for batch in examples.batches()])
        labels = clustered(x, self.components)
        members = [x[labels == label] for label in range(self.components)]
        weights = torch.tensor([len(own) for own in members], dtype=x.dtype) / len(x)
        own = torch.stack([torch.cov(rows.T, correction=0).view(x.shape[1], -1) for rows in members])
        mean = torch.tensordot(weights, own, 1)
        covariances = self.scale * ((1 - self.shrinkage) * own + self.shrinkage * mean)
        covariances += self.ridge * torch.eye(x.shape[1], dtype=x.dtype)
        return {
            "weights": weights,
            "means": torch.stack([rows.mean(0) for rows in members]),
            "factors": torch.stack([square_root(covariance) for covariance in covariances]),
        }

    def draw(self, fitted: Mapping[str, Tensor], n: int, rng: Generator) -> Tensor:
        """One product for each component."""
        chosen = torch.multinomial(fitted["weights"], n, replacement=True, generator=rng)
        z = torch.randn(n, math.prod(self.shape), generator=rng, dtype=torch.float32, device=rng.device)
        x = fitted["means"][chosen]
        for label in range(self.components):
            own = (chosen == label).nonzero().flatten()
            x[own] += z[own] @ fitted["factors"][label].T
        return x.view(n, *self.shape)
