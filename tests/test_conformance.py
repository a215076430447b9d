"""Every built-in part that a test can build passes every check of the kit."""

import numpy as np
import pytest
from PIL import Image

from ebmkit.registry.component import BUILT_IN, KINDS
from ebmkit.registry.lookup import get_registry
from ebmkit.testing import NotPromised, checks, settings, subject
from ebmkit.testing.kit import Subject, run

# Settings that make large parts small, to save time.
FEW = {
    ("data", "shapes"): {"count": 100},
    ("data", "gaussians"): {"count": 500},
    ("data", "rings"): {"count": 500},
    ("data", "moons"): {"count": 500},
    ("watcher", "report"): {"reconstruction_updates": 2, "count": 4, "chains": 2},
}
FILES = {"arrays": "images.npy", "idx": "images-idx3-ubyte", "folder": "."}
# Parts of files that no test can write: only their settings are checked.
UNMADE = ("hub", "inception", "torchscript")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with images in each format that is read."""
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
        for component in get_registry().of_kind(kind):
            if component.plugin is BUILT_IN:
                for name, check in checks(kind).items():
                    if component.name in UNMADE and check.__module__ != settings.__name__:
                        continue
                    yield pytest.param(component, name, id=f"{kind}-{component.name}-{name}")


@pytest.mark.parametrize(("component", "name"), list(parts()))
def test_a_built_in_part_passes_the_check(component, name, files):
    given = dict(FEW.get((component.kind, component.name), {}))
    if component.kind == "data" and component.name in FILES:
        given["path"] = str(files / FILES[component.name])
    target = component.load()
    unmade = component.name in UNMADE
    part = Subject(component.kind, target) if unmade else subject(component.kind, target, None, given)
    try:
        run(checks(component.kind)[name], part)
    except NotPromised as reason:
        pytest.skip(f"not promised: {reason}")
