"""Settings that are known to diverge."""

from typing import NamedTuple

from ebmkit.config.recipe import Recipe
from ebmkit.config.sections import METHOD


class Unstable(NamedTuple):
    """Settings with which runs diverged.

    Attributes:
        side: The smallest side of the images, in pixels.
        rate: The smallest learning rate of Adam.
        source: The runs in which this was seen.
    """

    side: int
    rate: float
    source: str


# Runs of SEEN with Adam whose gradient penalty was below ENOUGH; the lowest rate first.
KNOWN = (
    Unstable(32, 5e-4, "Fashion-MNIST at 32x32, width 16, K=30 and 50: diverged within 330 updates"),
    Unstable(28, 1e-3, "shapes at 28x28, width 4, K=10: diverged within 180 updates"),
    Unstable(16, 5e-3, "Fashion-MNIST at 16x16, width 8, K=20: diverged within 200 updates"),
)
SEEN = {"method": METHOD.use, "energy": "convnet", "sampler": "langevin"}
ENOUGH = 1.0  # the gradient penalty with which none of these diverged; 0.1 was too little at 32x32
ADAPTIVE = ("adam", "adamw")  # the rates of other optimisers mean something else


def unstable(recipe: Recipe, shape: tuple[int, ...]) -> list[str]:
    """Why a training with these settings is known to diverge, a line for each reason; empty if nothing is known.

    Args:
        recipe: The settings.
        shape: The shape of one example.
    """
    if any(recipe.parts[section].name != name for section, name in SEEN.items() if section in recipe.parts):
        return []
    if recipe.sections["energy"].get("spectral_norm") or recipe.sections["energy"].get("spectral_bound") is not None:
        return []
    train, rate = recipe.train, recipe.sections["optimizer"].get("lr")
    if len(shape) != 3 or train.penalty(shape) >= ENOUGH or not isinstance(rate, float):
        return []
    if isinstance(train.gradient_clip, int | float) or recipe.parts["optimizer"].name not in ADAPTIVE:
        return []
    found = next((known for known in KNOWN if min(shape[1:]) >= known.side and rate >= known.rate), None)
    if found is None:
        return []
    return [
        f"optimizer.lr={rate:g} with train.gradient_penalty={train.penalty(shape):g} is known to diverge for images of "
        f"{shape[-2]}x{shape[-1]} ({found.source}); try train.gradient_penalty=1, or optimizer.lr=1e-4"
    ]
