"""The features by which samples and examples are compared."""

from typing import TYPE_CHECKING

from ebmkit._lazy import exports

if TYPE_CHECKING:
    from ebmkit.features.digits import Digits
    from ebmkit.features.inception import Inception
    from ebmkit.features.pixels import Pixels
    from ebmkit.features.protocols import Classifier, Features
    from ebmkit.features.torchscript import TorchScript

__all__ = ["Classifier", "Digits", "Features", "Inception", "Pixels", "TorchScript"]

__getattr__, __dir__ = exports(
    __name__,
    {
        "Classifier": "protocols",
        "Digits": "digits",
        "Features": "protocols",
        "Inception": "inception",
        "Pixels": "pixels",
        "TorchScript": "torchscript",
    },
)
