"""The command line of the fuzzer: kinds, counts, rates and faults; each failing input goes to a folder."""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from fuzz.run import KINDS, Failure, failures, missing, try_one


def main() -> int:
    """Try all inputs, or one again; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Hostile inputs for everything that is read.")
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of input, with commas: %(default)s")
    parser.add_argument("--count", type=int, default=4200, help="inputs of one kind; slow kinds get fewer")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs")
    parser.add_argument("--failed", type=Path, default=Path("fuzz-failed"), help="where failing inputs are kept")
    parser.add_argument("--replay", type=Path, help="try this one input again, of the one kind of --kinds")
    options = parser.parse_args()
    names = options.kinds.split(",")
    if unknown := [name for name in names if name not in KINDS]:
        parser.error(f"unknown kind {', '.join(unknown)}; there are {', '.join(KINDS)}")
    if options.replay is not None:
        return replay(names[0], options.replay)
    counts = [tried(name, options.count, options.seed, options.failed) for name in names]
    inputs, faults = (sum(column) for column in zip(*counts, strict=True))
    print(f"\n{inputs:,} inputs, {faults} faults" + (f", kept in {options.failed}" if faults else ""))
    return int(faults > 0)


def tried(name: str, count: int, seed: int, place: Path) -> tuple[int, int]:
    """Try the inputs of a kind, and print what went wrong; how many were tried, and how many faults there are."""
    kind = KINDS[name]
    if missing(kind):
        print(f"{name:16} skipped: it needs the package {kind.package}", flush=True)
        return 0, 0
    began, seen, done = time.perf_counter(), dict[str, int](), 0
    for found in failures(kind, seed, max(1, round(count * kind.share))):
        if isinstance(found, int):
            done = found
        else:
            seen[signature(found)] = seen.get(signature(found), 0) + 1
            if seen[signature(found)] == 1:
                keep(found, place)
    seconds = time.perf_counter() - began
    print(
        f"{name:16} {done:7,} inputs  {done / seconds:6.0f}/s  {len(seen)} faults in {sum(seen.values())} inputs",
        flush=True,
    )
    return done, len(seen)


def signature(failure: Failure) -> str:
    """What is the same in all inputs that fail in the same way: the fault and its place, without values."""
    said, _, where = failure.fault.text.rpartition(" at ")
    kind = re.sub(r"[0-9]+", "#", (said or where).partition(":")[0])
    return f"{failure.fault.what} {kind} {where if said else ''}"


def keep(failure: Failure, place: Path) -> None:
    """Write a failing input, and print what went wrong and how to try it again."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{failure.kind}-{failure.number}"
    path.write_bytes(failure.content)
    text = failure.fault.text.encode("ascii", "backslashreplace").decode()
    print(
        f"  {failure.fault.what}: {text}\n    again: make fuzz FUZZ_OPTIONS='--kinds {failure.kind} --replay {path}'",
        flush=True,
    )


def replay(name: str, path: Path) -> int:
    """Try one input again, with the traceback of what it raises; 1 if it fails."""
    kind, content = KINDS[name], path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        kind.prepare(Path(folder))
        for by_command in (False, True) if kind.words else (False,):
            if fault := try_one(kind, Path(folder), content, by_command=by_command):
                print(f"{fault.what}: {fault.text}")
                kind.read(Path(folder))
                return 1
    print(f"{path} is read as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
