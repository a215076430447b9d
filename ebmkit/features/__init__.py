"""What samples and examples are compared by."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.features.digits import Digits
    from ebmkit.features.inception import Inception
    from ebmkit.features.pixels import Pixels
    from ebmkit.features.torchscript import TorchScript

__all__ = ["Digits", "Inception", "Pixels", "TorchScript"]

__getattr__, __dir__ = exports(
    __name__, {"Digits": "digits", "Inception": "inception", "Pixels": "pixels", "TorchScript": "torchscript"}
)
