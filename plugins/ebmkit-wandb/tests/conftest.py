"""The tests run without settings of wandb from the environment."""

import os

import pytest


@pytest.fixture(autouse=True)
def _without_settings_from_outside(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
