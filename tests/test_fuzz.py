"""The fuzzer: a few of its inputs of every kind, and whether it sees faults that were planted."""

import os
import socket
import sys
import time
import warnings
from dataclasses import replace

import pytest

if sys.platform == "win32":
    pytest.skip("the limits of a process that the fuzzer sets are those of Linux and macOS", allow_module_level=True)

from fuzz import guard
from fuzz.__main__ import signature
from fuzz.guard import fault_of
from fuzz.run import KINDS, Failure, failures, inputs, missing, try_all
from fuzz.studies import KINDS as STUDIES

from ebmkit.errors import Notice, UsageError

FEW = 24  # inputs of each kind here; `make fuzz` tries thousands
SLOW = ("parquet", "resume", "command-line")


@pytest.mark.parametrize("name", [name for name in KINDS if name not in SLOW])
def test_a_few_inputs_of_every_kind_are_read_or_refused_with_a_line(name, empty_folder):
    if missing(KINDS[name]):
        pytest.skip(f"needs the package {KINDS[name].package}")
    found = [(number, fault) for number, _, fault in try_all(KINDS[name], empty_folder, 0, 0, FEW) if fault is not None]
    assert found == []


def test_the_same_seed_gives_the_same_inputs(tmp_path):
    kind = KINDS["idx"]
    seeds = kind.prepare(tmp_path)
    one, same, other = (list(inputs(kind, seeds, seed, 0, 300)) for seed in (1, 1, 2))
    assert one == same != other
    assert list(inputs(kind, seeds, 1, 250, 300)) == one[250:]
    assert len({content for _, content in one}) > 150


def raises(place):
    raise KeyError("a")


def exits(place):
    sys.exit(0)


def hangs(place):
    while True:
        time.process_time()


def writes_elsewhere(place):
    (place.parent / "elsewhere").touch()


def removes_elsewhere(place):
    (place.parent / "removed").write_text("")


def starts_a_program(place):
    os.system("true")


def connects(place):
    with socket.socket() as one:
        one.settimeout(0.1)
        one.connect(("127.0.0.1", 9))


def allocates(place):
    bytearray(guard.peak() + 2 * guard.MEMORY)  # more than this process has ever had


def refuses_in_two_lines(place):
    raise TwoLines


class TwoLines(UsageError):
    def __str__(self):
        return "a\nb"


def refuses_at_length(place):
    raise Long


class Long(UsageError):
    def __str__(self):
        return "a" * 9999


PLANTED = {
    raises: "exception",
    exits: "exception",
    hangs: "hang",
    writes_elsewhere: "escape",
    removes_elsewhere: "escape",
    starts_a_program: "escape",
    connects: "escape",
    allocates: "memory",
    refuses_in_two_lines: "message",
    refuses_at_length: "message",
}


@pytest.mark.parametrize("read", PLANTED, ids=lambda read: read.__name__)
def test_a_planted_fault_is_seen(read, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "SECONDS", 0.1 if read is hangs else 60)
    monkeypatch.setattr(guard, "MEMORY", 2**26)
    (tmp_path / "inputs").mkdir()
    found = fault_of(read, tmp_path / "inputs")
    assert found is not None
    assert found.what == PLANTED[read], found


def test_what_is_allowed_is_no_fault(tmp_path):
    def read(place):
        (place / "a").write_text("x")
        (place / "a").rename(place / "b")
        warnings.warn("said to the user", Notice, stacklevel=1)
        raise UsageError("a.npy is not an array; write another")

    assert fault_of(read, tmp_path) is None


def crashes(place):
    content = (place / "claim").read_bytes()
    if b"elsewhere" in content:
        os._exit(3)


def test_a_process_that_dies_is_seen_and_replaced(monkeypatch):
    kind = replace(next(kind for kind in STUDIES if kind.name == "study-claim"), name="dies", read=crashes)
    monkeypatch.setitem(KINDS, "dies", kind)
    if sys.platform != "linux":
        pytest.skip("the kind is registered in this process only, and its process is not forked here")
    found = list(failures(kind, 0, 4))
    assert found[-1] == 4
    assert found[0].number == 1
    assert {failure.fault.what for failure in found[:-1]} == {"died"}


def test_failures_of_one_place_are_counted_together():
    one, other = (guard.Fault("exception", f"KeyError: '{name}' at a.py:3 < b.py:7") for name in "ab")
    assert signature(Failure("npy", 1, b"", one)) == signature(Failure("npy", 2, b"", other))
    third = guard.Fault("exception", "KeyError: 'a' at a.py:4")
    assert signature(Failure("npy", 1, b"", one)) != signature(Failure("npy", 1, b"", third))
