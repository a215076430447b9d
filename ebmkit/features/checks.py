"""What several features ask of the examples."""

from ebmkit.errors import UsageError


def check_images(features: str, shape: tuple[int, ...]) -> None:
    """Refuse examples that are not images of 1 or 3 channels.

    Raises:
        UsageError: naming the features that need images.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UsageError(f"{features} needs images of 1 or 3 channels, not examples of shape {shape}: use pixels")
