"""Features: what they give is fixed, of a known width, and of each example on its own; what cannot work is refused."""

import hashlib
import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from ebmkit.data.handwritten import digits
from ebmkit.data.examples import Examples
from ebmkit.errors import UsageError
from ebmkit.features import inception as inception_module
from ebmkit.features.digits import Digits
from ebmkit.features.inception import Inception, check_sha256, loaded, prepared
from ebmkit.features.inception2015 import Inception2015
from ebmkit.features.pixels import Pixels
from ebmkit.features.protocols import Classifier, Features
from ebmkit.features.torchscript import TorchScript

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")

SHAPES = Path(__file__).parents[2] / "shared" / "data" / "weights" / "fid_inception_2015_12_05_state_dict_shapes.json"


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def images(*shape, seed=0):
    return torch.rand(*shape, generator=rng(seed)) * 2 - 1


def examples(*shape):
    return Examples(torch.zeros(4, *shape))


def weights(seed=0):
    """Random tensors of the network's names and shapes, scaled so that signals neither die nor grow."""
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
    """The random weights as a file that passes for the published one."""
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    monkeypatch.setattr(inception_module, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def scripted(module, path, shape):
    torch.jit.save(torch.jit.trace(module.eval(), torch.zeros(2, *shape), check_trace=False), str(path))
    return str(path)


@pytest.fixture
def script(tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(12, 5))
    return scripted(module, tmp_path / "mine.pt", (3, 2, 2))


@pytest.fixture(scope="module")
def classifier():
    return Digits(Examples(digits()))


def check_rows(features, x):
    """The promises of the protocol, on `x` `(n, *shape)`."""
    assert isinstance(features, Features)
    found = features(x.clone().requires_grad_())
    assert found.shape == (len(x), features.d)
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert not found.requires_grad
    assert torch.equal(found, features(x))
    torch.testing.assert_close(torch.cat([features(x[:1]), features(x[1:])]), found, rtol=1e-4, atol=1e-5)
    return found


# Pixels


def test_pixels_are_the_examples():
    x = images(3, 2, 4, 4)
    assert torch.equal(check_rows(Pixels(examples(2, 4, 4)), x), x.flatten(1))
    assert torch.equal(check_rows(Pixels(examples(5)), images(3, 5)), images(3, 5))


def test_pixels_of_a_size_are_means_over_squares():
    x = images(3, 1, 4, 4)
    features = Pixels(examples(1, 4, 4), size=2)
    torch.testing.assert_close(check_rows(features, x)[:, 0], x[:, 0, :2, :2].mean((1, 2)))
    assert (features.name, features.preprocessing) == ("pixels 2x2", "averaged to 2x2")


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((1, 4, 4), 5, "size must be at least 1 and at most 4, not 5"),
        ((1, 4, 4), 0, "size must be at least 1 and at most 4, not 0"),
        ((2,), 1, "size is 1, but examples of shape (2,) are no images: leave out size"),
    ],
)
def test_a_size_that_cannot_be_is_refused(shape, size, message):
    with pytest.raises(UsageError) as refused:
        Pixels(examples(*shape), size=size)
    assert str(refused.value) == message


# Digits


def test_the_classifier_of_digits_knows_digits_it_was_not_trained_on(classifier):
    assert classifier.accuracy > 0.94
    x = Examples(digits()).fetch(torch.arange(20))
    assert check_rows(classifier, x).std(0).min() > 0
    assert isinstance(classifier, Classifier)
    p = classifier.probabilities(x)
    torch.testing.assert_close(p.sum(1), torch.ones(20))
    # scikit-learn's set begins with the digits in order.
    assert (p.argmax(1) == torch.arange(20) % 10).double().mean() > 0.9


def test_the_probabilities_are_the_last_layer_of_the_features(classifier):
    x = images(3, 1, 8, 8)
    torch.testing.assert_close(classifier.probabilities(x), classifier.network[-1](classifier(x)).softmax(1))


def test_the_same_seed_gives_the_same_network_and_leaves_all_other_randomness_alone(classifier):
    before = torch.get_rng_state()
    x = images(3, 1, 8, 8)
    with torch.inference_mode():
        again = Digits(examples(1, 8, 8), seed=0)(x)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again, classifier(x))


def test_another_seed_gives_another_network():
    one, other = (Digits(examples(1, 2, 2), seed=seed) for seed in (1, 2))
    assert not torch.equal(one(torch.zeros(1, 1, 2, 2)), other(torch.zeros(1, 1, 2, 2)))


def test_colours_are_made_grey_and_large_images_are_shrunk():
    features = Digits(examples(3, 8, 40))
    x = images(2, 1, 8, 40)
    assert features.size == (8, 32)
    torch.testing.assert_close(check_rows(features, x.expand(2, 3, 8, 40)), features(x))
    assert features.preprocessing.startswith("grey, scaled to 8x32; a classifier of digits, seed 0, 9")


@pytest.mark.parametrize("shape", [(2,), (2, 8, 8)])
def test_digits_refuse_what_is_no_image(shape):
    with pytest.raises(UsageError, match=r"^digits needs images of 1 or 3 channels, not .*: take pixels$"):
        Digits(examples(*shape))


# Inception


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


def test_the_network_is_built_without_drawing_and_in_evaluation_mode(state):
    before = torch.get_rng_state()
    network = loaded(state)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in network.modules())
    assert not any(tensor.requires_grad or tensor.is_meta for tensor in network.state_dict().values())


def test_inception_gives_features_and_probabilities(file):
    features = Inception(examples(1, 6, 8), weights=str(file))
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


def test_sides_and_channels_after_each_layer_are_the_known_ones(state):
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


def test_images_are_scaled_as_tensorflow_1_did():
    x = images(2, 3, 7, 5)
    found = prepared(x)
    assert found.shape == (2, 3, 299, 299)
    colours = ((x + 1) * 127.5).round()
    for i, j in [(0, 0), (100, 17), (298, 298), (150, 260)]:
        # New pixel i lies at i * old / new, and what is beyond the edge is the edge.
        y, z = i * 7 / 299, j * 5 / 299
        top, left = int(y), int(z)
        low, right = min(top + 1, 6), min(left + 1, 4)
        above = colours[..., top, left] * (1 - (z - left)) + colours[..., top, right] * (z - left)
        below = colours[..., low, left] * (1 - (z - left)) + colours[..., low, right] * (z - left)
        expected = (above * (1 - (y - top)) + below * (y - top) - 128) / 128
        torch.testing.assert_close(found[..., i, j], expected, rtol=1e-4, atol=1e-4)
    other = functional.interpolate(colours, (299, 299), mode="bilinear")
    assert ((other - 128) / 128 - found).abs().max() > 0.05


def test_images_of_the_network_s_size_are_only_rounded_to_8_bits():
    x = 1.2 * images(1, 3, 299, 299)
    colours = ((x.clamp(-1, 1) + 1) * 127.5).round()
    torch.testing.assert_close(prepared(x), (colours - 128) / 128)


def test_another_file_is_refused_in_one_line(tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(b"something")
    with pytest.raises(UsageError, match=r"^weights: .*other.pth is not pt_inception-2015-12-05-6726825d.pth: its sha"):
        Inception(examples(3, 8, 8), weights=str(path))
    with pytest.raises(UsageError, match=r"^no such file: .*othr.pth. Did you mean 'other.pth'\?$"):
        Inception(examples(3, 8, 8), weights=str(tmp_path / "othr.pth"))
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
def test_inception_refuses_what_is_no_image(shape):
    with pytest.raises(UsageError, match=r"^inception needs images of 1 or 3 channels, not .*: take pixels$"):
        Inception(examples(*shape), weights="anything")


# TorchScript


def test_a_torchscript_module_gives_its_features(script):
    features = TorchScript(examples(3, 2, 2), path=script)
    assert features.d == 5
    assert features.name == "torchscript mine.pt"
    assert features.preprocessing == f"none; module sha256 {hashlib.sha256(Path(script).read_bytes()).hexdigest()}"
    check_rows(features, images(4, 3, 2, 2))


def test_a_torchscript_module_is_put_in_evaluation_mode(tmp_path):
    module = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Dropout(0.5)).train())
    torch.jit.save(module, str(tmp_path / "drops.pt"))
    features = TorchScript(examples(3), path=str(tmp_path / "drops.pt"))
    assert torch.equal(features(torch.ones(2, 3)), torch.ones(2, 3))


def test_a_file_that_is_no_torchscript_is_refused_in_one_line(tmp_path):
    text, tensors = tmp_path / "text.pt", tmp_path / "tensors.pt"
    text.write_text("hello", encoding="utf-8")
    torch.save({"a": torch.zeros(2)}, tensors)
    for path in (text, tensors):
        message = f"path: {path} is no TorchScript file: expected one that torch.jit.save wrote"
        with pytest.raises(UsageError) as refused:
            TorchScript(examples(3, 2, 2), path=str(path))
        assert str(refused.value) == message
    with pytest.raises(UsageError, match=r"^path: .* is a folder: expected a file"):
        TorchScript(examples(3, 2, 2), path=str(tmp_path))
    with pytest.raises(UsageError, match=r"^no such file: "):
        TorchScript(examples(3, 2, 2), path=str(tmp_path / "none.pt"))


def test_a_module_that_does_not_take_the_examples_is_refused_in_one_line(script):
    with pytest.raises(UsageError, match=r"mine.pt cannot take examples of shape \(1, 2, 2\): ") as refused:
        TorchScript(examples(1, 2, 2), path=script)
    assert "\n" not in str(refused.value)


def test_a_module_that_gives_no_rows_is_refused(tmp_path):
    path = scripted(nn.Identity(), tmp_path / "same.pt", (3, 2, 2))
    with pytest.raises(UsageError, match=r"it gives shape \(2, 3, 2, 2\) for 2 examples, expected features \(2, d\)$"):
        TorchScript(examples(3, 2, 2), path=path)
