"""Models: the checkpoint of a run, opened and resumed; and a model in one file."""

import io
import json
import struct
import warnings
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from ebmkit.config.layers import loads
from ebmkit.config.resolution import resolve
from ebmkit.runs.model import load, read_model
from ebmkit.runs.model_file import write_model_file
from ebmkit.runs.training import new_run, resume_run
from fuzz.kind import Kind
from fuzz.mutations import in_a_zip, mutated
from fuzz.settings import SMALL
from fuzz.values import json_texts, replaced, values

CHANGES = "[init]\nuse = 'replay'\n"


def run(place: Path) -> Path:
    """A small run that has made two updates, with a replay buffer and a moving average of the weights."""
    text = SMALL.replace("[train]\niterations = 1", "[train]\niterations = 3").replace(
        "gradient_penalty", "average = 0.5\ngradient_penalty"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        list(new_run(resolve([loads(f"{text}\n{CHANGES}", "small")]), place / "run").train())
    return place / "run"


def checkpoint(place: Path) -> list[bytes]:
    """The checkpoint of a run."""
    return [(run(place) / "checkpoint.pt").read_bytes()]


def open_and_draw(place: Path) -> None:
    """Open the model in the run, and draw two samples."""
    draw(place / "run")


def draw(place: Path) -> None:
    """Open a model and draw two samples; the model has been read before, since building it takes longer."""
    read_model(place)
    samples = load(place).sample(2, torch.Generator().manual_seed(0))
    assert samples.shape == (2, 2)


def resume(place: Path) -> None:
    """Restore the run; its next update is not made."""
    resume_run(place / "run", {"train": {"iterations": 9}})


def states() -> st.SearchStrategy[bytes]:
    """Checkpoints with a wrong value somewhere inside, saved as torch does."""
    return st.builds(saved, values.map(with_tensors), st.integers(0, 2**32), st.sampled_from(ODD_TENSORS) | st.none())


ODD_TENSORS = ["empty", "scalar", "nan", "huge", "meta", "int", "complex", "sparse", "negative", "quantized"]


def odd_tensor(name: str) -> torch.Tensor:
    """A tensor that is none of the usual ones; `huge` has one element that is shown 10¹² times."""
    ones = torch.ones(2, 2)
    return {
        "empty": lambda: torch.empty(0),
        "scalar": lambda: torch.tensor(1.0),
        "nan": lambda: ones * torch.nan,
        "huge": lambda: torch.zeros(1, 1).expand(10**6, 10**6),
        "meta": lambda: torch.empty(10**6, 10**6, device="meta"),
        "int": lambda: torch.ones(2, 2, dtype=torch.int8),
        "complex": lambda: ones + 1j,
        "sparse": lambda: ones.to_sparse(),
        "negative": lambda: -ones,
        "quantized": lambda: torch.zeros(5056, dtype=torch.uint8),
    }[name]()


def with_tensors(value: Any) -> Any:
    """A value in which floats are tensors."""
    return torch.tensor(value) if isinstance(value, float) else value


TEMPLATE: list[dict[str, Any]] = []


def saved(value: Any, seed: int, name: str | None) -> bytes:
    """The state of a small run with one value replaced, as a file."""
    if not TEMPLATE:
        TEMPLATE.append(template())
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(replaced(TEMPLATE[0], value if name is None else odd_tensor(name), seed), file)
    return file.getvalue()


def template() -> dict[str, Any]:
    """The content of a checkpoint."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return dict(torch.load(run(Path(folder)) / "checkpoint.pt", weights_only=True))


def model_file(place: Path) -> list[bytes]:
    """The run as one file."""
    found = read_model(run(place))
    write_model_file(found, "last", place / "a.safetensors")
    return [(place / "a.safetensors").read_bytes()]


def headers() -> st.SearchStrategy[bytes]:
    """Model files whose header is JSON with a wrong value, and says how long it is."""
    tensors = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * shape[0]]}
        for name, shape, at in (("energy.0.weight", [4], 0), ("energy.0.bias", [2], 16), ("init.bank", [2], 24))
    }
    facts = {"ebmkit": "0.1", "format": "1", "config": SMALL, "shape": "[2]", "weights": "last", "updates": "1"}
    return st.builds(
        lambda header, more: struct.pack("<Q", max(0, len(header) + more)) + header + bytes(32),
        json_texts({"__metadata__": facts, **tensors}),
        st.sampled_from([0, 0, 0, 0, 1, -1, 2**40]),
    )


def in_the_header(rng: Any, seeds: list[bytes]) -> bytes:
    """A valid model file with a value of its header replaced."""
    content = rng.choice(seeds)
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    odd = rng.choice(
        [
            None,
            "",
            "2",
            "[2, 2]",
            "[1e9]",
            "[" * 9999,
            -1,
            [2**40],
            [],
            {},
            "F64",
            SMALL,
            "energy = 1",
            "[train]\nx = 1",
        ]
    )
    changed = json.dumps(replaced(header, odd, rng.randrange(2**32))).encode()
    return struct.pack("<Q", len(changed)) + changed + content[8 + size :]


def read_model_in_file(place: Path) -> None:
    """Open the model in the file, and draw two samples."""
    draw(place / "a.safetensors")


def in_the_configuration(rng: Any, seeds: list[bytes]) -> bytes:
    """A valid checkpoint with its settings mutated."""
    if not TEMPLATE:
        TEMPLATE.append(template())
    config = mutated(rng, [TEMPLATE[0]["config"].encode()]).decode("utf-8", "replace")
    file = io.BytesIO()
    torch.save({**TEMPLATE[0], "config": config}, file)
    return file.getvalue()


MUTATIONS = (mutated, in_a_zip, in_a_zip, in_the_configuration)
SAMPLE = ("sample", "-n", "2", "--out", "out.npy", "--force")
KINDS = [
    Kind(
        "checkpoint", "run/checkpoint.pt", checkpoint, open_and_draw, states(), MUTATIONS, (*SAMPLE, "run"), share=0.5
    ),
    Kind(
        "resume",
        "run/checkpoint.pt",
        checkpoint,
        resume,
        states(),
        MUTATIONS,
        ("train", "--resume", "run", "--dry-run", "-q", "--iterations", "9"),
        share=0.25,
    ),
    Kind(
        "model-file",
        "a.safetensors",
        model_file,
        read_model_in_file,
        headers(),
        (mutated, in_the_header),
        (*SAMPLE, "a.safetensors"),
        share=0.5,
    ),
]
