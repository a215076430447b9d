"""Neural spline flows, of the library zuko."""

import math

from torch import Tensor, nn

from ebmkit import UsageError, check
from ebmkit_neural_transport.flow import Flow


class SplineFlow(Flow):
    """Couplings by rational-quadratic splines, for points and other small examples, flattened; needs the library zuko.

    A spline is the identity outside [-5, 5], in units of the standard deviation of the data.

    Source: Durkan, Bekasov, Murray, Papamakarios, NeurIPS 2019, as in `zuko.flows.NSF` with two passes, so that both
    directions take the same time; the default values are ours, except the 8 bins of zuko.

    Args:
        transforms: How many splines of the whole vector there are.
        width: Units of the two hidden layers of each.
        bins: Bins of a spline.

    Raises:
        UsageError: if a setting is out of range, or zuko is not installed.
    """

    def __init__(
        self,
        inputs: tuple[int, ...],
        outputs: tuple[int, ...],
        *,
        transforms: int = 4,
        width: int = 64,
        bins: int = 8,
    ) -> None:
        super().__init__(inputs, outputs)
        check("transforms", transforms, at_least=1)
        check("width", width, at_least=1)
        check("bins", bins, at_least=2)
        try:
            from zuko.flows import NSF
        except ImportError:
            raise UsageError(
                "spline-flow needs the library zuko: pip install 'ebmkit-neural-transport[zuko]', or use coupling-flow"
            ) from None
        d = math.prod(self.shape)
        self.splines = NSF(
            d,
            transforms=transforms,
            bins=bins,
            passes=min(2, d),
            hidden_features=(width, width),
            activation=nn.SiLU,
        )

    def push(self, z: Tensor) -> Tensor:
        """From noise: the inverse of what zuko calls the transform."""
        y: Tensor = self.splines().transform.inv(z.flatten(1))
        return y.view(-1, *self.shape)

    def pull(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """To noise: what zuko calls the transform."""
        z, logarithm = self.splines().transform.call_and_ladj(y.flatten(1))
        return z.view(-1, *self.shape), logarithm
