"""The Hugging Face hub: its answers, no answer, and no connection."""

import http.server
import importlib
import json
import shutil
import threading
import time
from functools import partial

import image_data
import pytest
import torch
from hub_data import ALL, labelled_rows, library_with_cache
from image_data import everything

from ebmkit.data.hub import ask_the_hub, hub

refused = partial(image_data.refused, make=hub)


@pytest.fixture
def library(tmp_path, monkeypatch):
    return library_with_cache(tmp_path / "cache", monkeypatch)


@pytest.fixture
def rows(library):
    return labelled_rows(library)


@pytest.fixture
def answer(library, monkeypatch):
    """`answer(status, headers, wait)` starts a hub on this machine that always gives this answer."""
    servers = []

    def answer(status, headers=(), wait=0.0):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(wait)
                self.send_response(status)
                for key, value in headers:
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(json.dumps({"id": "a/b"}).encode())

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *_: None  # the client left before the answer
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        return address

    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_hub_is_asked_first(answer):
    answer(200)
    ask_the_hub("a/b")


def test_an_unknown_name_on_the_hub_is_refused(answer):
    answer(404, [("X-Error-Code", "RepoNotFound")])
    refused("no data set 'a/b' on the hub, and no such file or folder: mistyped, or private", id="a/b")


def test_a_gated_data_set_needs_a_permission(answer):
    answer(403, [("X-Error-Code", "GatedRepo")])
    refused("'a/b' needs a permission: ask for it on its page of the hub, then type: hf auth login", id="a/b")


def test_a_hub_without_an_answer_is_not_waited_for(answer, monkeypatch):
    monkeypatch.setattr(importlib.import_module("ebmkit.data.hub"), "TIMEOUT", 0.3)
    answer(200, wait=2.0)
    began = time.monotonic()
    refused(r"the hub cannot be asked \(ReadTimeout.*HF_HUB_OFFLINE=1", id="a/b")
    assert time.monotonic() - began < 1.5


def test_an_unreachable_hub_is_reported(library, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    refused(r"no file or folder 'a/b', and the hub cannot be asked \(ConnectError", id="a/b")


@pytest.fixture
def offline(library, monkeypatch):
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_offline_an_unknown_data_set_is_refused_at_once(offline):
    began = time.monotonic()
    refused("cannot load a/b: .*; HF_HUB_OFFLINE is set: only what was downloaded before is available", id="a/b")
    assert time.monotonic() - began < 2


def test_offline_a_downloaded_data_set_is_used(offline, library, rows, tmp_path):
    (tmp_path / "b").mkdir()
    rows.to_parquet(tmp_path / "b" / "train.parquet")
    hub(id=tmp_path / "b")
    # This is the cache as it would be if the folder were a data set of the hub.
    shutil.move(tmp_path / "cache" / "b", tmp_path / "cache" / "a___b")
    assert torch.equal(everything(hub(id="a/b")), ALL)
    refused("a/b has no split 'test'.* It has: train", id="a/b", split="test")
