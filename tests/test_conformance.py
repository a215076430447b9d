"""Every built-in part passes every check of the kit: all that is registered, with no exceptions by name."""

import numpy as np
import pytest
from PIL import Image

from ebmkit.components import BUILT_IN, KINDS
from ebmkit.registry import registry
from ebmkit.testing import NotPromised, checks, subject
from ebmkit.testing.kit import run

# Parts that read files have no default for where: they get small ones. Large made sets are cut, to save time.
FEW = {"shapes": {"count": 100}, "gaussians": {"count": 500}, "rings": {"count": 500}, "moons": {"count": 500}}
FILES = {"arrays": "images.npy", "idx": "images-idx3-ubyte", "folder": "."}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with images in each of the forms that are read."""
    place = tmp_path_factory.mktemp("files")
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    np.save(place / "images.npy", images)
    (place / "images-idx3-ubyte").write_bytes(
        b"\0\0\x08\x03" + np.array([20, 8, 8], ">i4").tobytes() + images.tobytes()
    )
    for index, image in enumerate(images):
        Image.fromarray(image).save(place / f"{index}.png")
    return place


def parts():
    for kind in KINDS:
        for component in registry().of_kind(kind):
            if component.plugin is BUILT_IN:
                for name in checks(kind):
                    yield pytest.param(component, name, id=f"{kind}-{component.name}-{name}")


@pytest.mark.parametrize(("component", "name"), list(parts()))
def test_a_built_in_part_passes_the_check(component, name, files):
    settings = dict(FEW.get(component.name, {})) if component.kind == "data" else {}
    if component.kind == "data" and component.name in FILES:
        settings["path"] = str(files / FILES[component.name])
    try:
        run(checks(component.kind)[name], subject(component.kind, component.load(), None, settings))
    except NotPromised as reason:
        pytest.skip(f"not promised: {reason}")
