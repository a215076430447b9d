"""A tilted flow as a model, which has log densities of examples."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Generator, Tensor

from ebmkit import ExampleValues, ShortRun, noise_like
from ebmkit_neural_transport.likelihood import log_densities, normaliser


@dataclass(frozen=True)
class TransportRun(ShortRun):
    """Chains in the latent space of a flow, decoded by it.

    Attributes:
        data_noise: Standard deviation of the noise of the examples that the densities were learned of.
    """

    data_noise: float = 0.0

    def values(self, x: Tensor, rng: Generator, *, batch: int = 64) -> Sequence[ExampleValues]:
        """Log densities of examples `(n, *shape)` with the data noise of the training: of the flow, and of its tilt.

        Log Z is estimated by importance sampling; see `ebmkit_neural_transport.likelihood.log_likelihood`, which can
        estimate it better.
        """
        found = normaliser(self, rng, batch=batch)
        density, unnormalised = log_densities(self, x + self.data_noise * noise_like(x, rng), batch)
        noise = f" of examples with data noise {self.data_noise:g}" if self.data_noise else ""
        size = f"effective sample size {found.ess:.0f} of {found.draws}"
        note = f"densities in nats{noise}; p: log Z {found.value:.4g} ± {found.error:.2g}, {size}"
        return (
            ExampleValues("log q(x)", density, note=note),
            ExampleValues("log p(x)", unnormalised - found.value, found.error, note),
            ExampleValues("log p(x)/q(x)", unnormalised - found.value - density, found.error, note),
        )
