"""The Inception network of 2015: its layers, its scaling of images, its file of weights."""

import hashlib
import json
import math
from pathlib import Path

import pytest
import torch
from feature_checks import check_rows, examples, images, rng
from torch.nn import functional

from ebmkit.errors import UsageError
from ebmkit.features import inception as inception_module
from ebmkit.features.inception import Inception, check_sha256, loaded, prepared
from ebmkit.features.inception2015 import Inception2015
from ebmkit.features.protocols import Classifier

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

SHAPES = Path(__file__).parents[2] / "shared" / "data" / "weights" / "fid_inception_2015_12_05_state_dict_shapes.json"


def weights(seed=0):
    """Random tensors with the names and shapes of the network, scaled so that activations neither vanish nor grow."""
    draw = rng(seed)
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Inception2015().state_dict().items()}
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(shape, dtype=torch.long)
        elif name.endswith("running_var") or name.endswith("bn.weight"):
            state[name] = 0.5 + torch.rand(shape, generator=draw)
        else:
            fan = math.prod(shape[1:]) if len(shape) > 1 else 100
            state[name] = torch.randn(shape, generator=draw) * math.sqrt(2 / fan)
    return state


@pytest.fixture(scope="module")
def state():
    return weights()


@pytest.fixture
def file(state, tmp_path, monkeypatch):
    """The random weights in a file whose hash is accepted as the published one."""
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    monkeypatch.setattr(inception_module, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_random_tensors_of_the_published_shapes_load_strictly():
    if not SHAPES.is_file():
        pytest.skip(f"the list of the published shapes is not here: {SHAPES.name}")
    published = json.loads(SHAPES.read_text(encoding="utf-8"))
    types = {"FloatStorage": torch.float32, "LongStorage": torch.long}
    tensors = {name: torch.zeros(entry["shape"], dtype=types[entry["dtype"]]) for name, entry in published.items()}
    assert len(tensors) == 566
    assert set(loaded(tensors).state_dict()) == set(tensors)
    with torch.device("meta"):
        mine = {name: tensor.dtype for name, tensor in Inception2015().state_dict().items()}
    assert mine == {name: tensor.dtype for name, tensor in tensors.items()}


def test_the_network_is_in_evaluation_mode_and_draws_nothing(state):
    before = torch.get_rng_state()
    network = loaded(state)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in network.modules())
    assert not any(tensor.requires_grad or tensor.is_meta for tensor in network.state_dict().values())


def test_inception_returns_features_and_probabilities(file):
    features = Inception(examples(1, 6, 8), weights=file)
    x = images(2, 1, 6, 8)
    found = check_rows(features, x)
    assert found.shape == (2, 2048)
    assert isinstance(features, Classifier)
    expected = (found[:1] @ features.network.fc.weight.T).softmax(1)
    torch.testing.assert_close(features.probabilities(x[:1]), expected)
    assert features.name == "inception"
    assert inception_module.SHA256 in features.preprocessing
    assert torch.equal(prepared(x.expand(2, 3, 6, 8)), prepared(x))


def pooled(kind, x):
    """A pool of 3x3 with one row of padding, from its definition."""
    if kind == "maximum":
        return functional.unfold(functional.pad(x, (1, 1, 1, 1), value=-torch.inf), 3).amax(1).view(8, 8)
    padded = functional.unfold(functional.pad(torch.cat([x, torch.ones_like(x)]), (1, 1, 1, 1)), 3).sum(1)
    return (padded[0] / padded[1]).view(8, 8)


@pytest.mark.parametrize(
    ("block", "kind"), [(name, "average") for name in ("5b", "5c", "5d", "6b", "6e", "7b")] + [("7c", "maximum")]
)
def test_pools_are_those_of_2015_and_not_of_torchvision(block, kind):
    with torch.device("meta"):
        network = Inception2015()
    x = images(1, 1, 8, 8)
    torch.testing.assert_close(getattr(network, f"Mixed_{block}").pool(x)[0, 0], pooled(kind, x))


def test_every_layer_has_the_known_sides_and_channels(state):
    network = loaded(state)
    seen = {}
    for name, layer in network.named_children():
        layer.register_forward_hook(lambda _m, _x, y, name=name: seen.update({name: tuple(y.shape[1:])}))
    network(images(1, 3, 299, 299))
    known = {"Conv2d_1a_3x3": (32, 149, 149), "Conv2d_2a_3x3": (32, 147, 147), "Conv2d_2b_3x3": (64, 147, 147)}
    known |= {"pool_1": (64, 73, 73), "Conv2d_3b_1x1": (80, 73, 73), "Conv2d_4a_3x3": (192, 71, 71)}
    known |= {"pool_2": (192, 35, 35), "Mixed_5b": (256, 35, 35), "Mixed_5c": (288, 35, 35), "Mixed_5d": (288, 35, 35)}
    known |= {f"Mixed_6{letter}": (768, 17, 17) for letter in "abcde"}
    assert seen == known | {"Mixed_7a": (1280, 8, 8), "Mixed_7b": (2048, 8, 8), "Mixed_7c": (2048, 8, 8)}


def test_images_are_scaled_as_in_tensorflow_1():
    x = images(2, 3, 7, 5)
    found = prepared(x)
    assert found.shape == (2, 3, 299, 299)
    colours = ((x + 1) * 127.5).round()
    for i, j in [(0, 0), (100, 17), (298, 298), (150, 260)]:
        # New pixel i is at i * old / new; beyond the edge, the edge is repeated.
        y, z = i * 7 / 299, j * 5 / 299
        top, left = int(y), int(z)
        low, right = min(top + 1, 6), min(left + 1, 4)
        above = colours[..., top, left] * (1 - (z - left)) + colours[..., top, right] * (z - left)
        below = colours[..., low, left] * (1 - (z - left)) + colours[..., low, right] * (z - left)
        expected = (above * (1 - (y - top)) + below * (y - top) - 128) / 128
        torch.testing.assert_close(found[..., i, j], expected, rtol=1e-4, atol=1e-4)
    other = functional.interpolate(colours, (299, 299), mode="bilinear")
    assert ((other - 128) / 128 - found).abs().max() > 0.05


def test_images_of_the_size_of_the_network_are_only_rounded():
    x = 1.2 * images(1, 3, 299, 299)
    colours = ((x.clamp(-1, 1) + 1) * 127.5).round()
    torch.testing.assert_close(prepared(x), (colours - 128) / 128)


def test_another_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(b"something")
    with pytest.raises(UsageError, match=r"^weights: .*other.pth is not pt_inception-2015-12-05-6726825d.pth: its sha"):
        Inception(examples(3, 8, 8), weights=path)
    with pytest.raises(UsageError, match=r"^no such file: .*othr.pth. Did you mean 'other.pth'\?$"):
        Inception(examples(3, 8, 8), weights=tmp_path / "othr.pth")
    with pytest.raises(UsageError, match=r"^weights: cannot read "):
        check_sha256(tmp_path)


def test_the_hash_is_that_of_the_published_file():
    assert inception_module.SHA256.startswith(inception_module.FILE.removesuffix(".pth").rpartition("-")[2])
    assert len(inception_module.SHA256) == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s | {"fc.bias": torch.zeros(1000)}, "fc.bias is (1000,), expected (1008,)"),
        (lambda s: {k: v for k, v in s.items() if k != "fc.bias"}, "fc.bias is missing, expected (1008,)"),
        (lambda s: s | {"more": torch.zeros(2)}, "more is (2,), expected none of that name"),
        (lambda s: {k: v for k, v in s.items() if "AuxLogits" in k}, "566 tensors are not"),
        (lambda s: [1, 2], "566 tensors are not"),
    ],
    ids=["shape", "missing", "more", "empty", "list"],
)
def test_tensors_of_another_network_are_refused_in_one_line(state, change, message):
    with pytest.raises(UsageError) as refused:
        loaded(change(state))
    assert str(refused.value).startswith("weights: ")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("shape", [(2,), (2, 8, 8)])
def test_inception_refuses_other_examples_than_images(shape):
    with pytest.raises(UsageError, match=r"^inception needs images of 1 or 3 channels, not .*: use pixels$"):
        Inception(examples(*shape), weights="anything")
