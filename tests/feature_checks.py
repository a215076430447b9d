"""Examples for features, and the checks of what features promise; shared by several test files."""

import torch

from ebmkit.data.examples import Examples
from ebmkit.features.protocols import Features


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def images(*shape, seed=0):
    return torch.rand(*shape, generator=rng(seed)) * 2 - 1


def examples(*shape):
    return Examples(torch.zeros(4, *shape))


def check_rows(features, x):
    """Check the protocol `Features` on `x` `(n, *shape)`; return the features."""
    assert isinstance(features, Features)
    found = features(x.clone().requires_grad_())
    assert found.shape == (len(x), features.d)
    assert found.dtype == torch.float32
    assert found.isfinite().all()
    assert not found.requires_grad
    assert torch.equal(found, features(x))
    torch.testing.assert_close(torch.cat([features(x[:1]), features(x[1:])]), found, rtol=1e-4, atol=1e-5)
    return found
