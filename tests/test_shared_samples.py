"""Several processes that sample and evaluate: all of n, each its share, independent draws, one message, one file."""

import json
import math

import numpy as np
import pytest
import torch
from commands import invoked
from pairs import Pair
from training_runs import trained

from ebmkit.data.digits import digits
from ebmkit.data.examples import Examples
from ebmkit.evaluation.energy import energies
from ebmkit.evaluation.measures import as_rows, evaluate
from ebmkit.features.pixels import Pixels
from ebmkit.processes import Processes
from ebmkit.runs import shared_samples
from ebmkit.runs.model import load
from ebmkit.runs.shared_samples import rounds_of, samples_of_all, seed_of, share_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small run on digits."""
    place = tmp_path_factory.mktemp("runs") / "digits"
    trained(place, {"train.iterations": "3"})
    return place


@pytest.fixture(scope="module")
def pair():
    both = Pair()
    yield both
    both.close()


def in_both(pair, words):
    """The exit code, stdout and stderr of a command in each of two processes."""
    return pair("commands", words=json.dumps(words), second=json.dumps(words))


def own(short, n, seed, batch=64):
    """The batches of each of two processes."""
    rngs = [torch.Generator().manual_seed(shared_samples.seed_of(seed, rank)) for rank in range(2)]
    return [list(short.samples(share_of(n, rank, 2), rng, batch=batch)) for rank, rng in enumerate(rngs)]


def ordered(first, other):
    """The samples of two processes in the order in which process 0 gets them."""
    gone = other + [other[0][:0]] * (len(first) - len(other))
    return torch.cat([batch for both in zip(first, gone, strict=True) for batch in both])


@pytest.mark.parametrize(("n", "size"), [(1, 3), (3, 3), (10, 4), (64, 1), (1000, 7)])
def test_shares_make_up_all_samples(n, size):
    shares = [share_of(n, rank, size) for rank in range(size)]
    assert sum(shares) == n
    assert max(shares) - min(shares) <= 1
    assert shares[0] == max(shares)
    assert rounds_of(n, 3, size) == math.ceil(shares[0] / 3)


def test_the_seed_of_process_0_is_that_of_one_process_and_all_differ():
    assert seed_of(7, 0) == 7
    seeds = {seed_of(seed, rank) & 0xFFFFFFFF for seed in range(20) for rank in range(64)}
    assert len(seeds) == 20 * 64


class Doubled(Processes):
    """Two processes, of which the other draws what this one does; counts the rounds."""

    rounds = 0

    def gather(self, value):
        self.rounds += 1
        return [value, value]


def test_a_round_is_drawn_when_it_is_needed(made):
    both = Doubled(size=2)
    found = samples_of_all(load(made), 16, torch.Generator(), both, batch=2)
    for count in range(1, 9):
        assert next(found).shape == (2, 1, 8, 8)
        assert both.rounds == math.ceil(count / 2)
    assert list(found) == []


@pytest.mark.parametrize("n", [1, 11, 12])
def test_two_processes_write_every_sample_once(made, pair, tmp_path, n):
    words = ["sample", str(made), "-n", str(n), "--batch", "3", "--seed", "7", "--out", str(tmp_path / "a.npy")]
    (code, stdout, stderr), other = in_both(pair, words)
    assert (code, stdout, stderr) == (0, f"{tmp_path / 'a.npy'}\n", "")
    assert other == [0, "", ""]
    found = torch.from_numpy(np.load(tmp_path / "a.npy"))
    assert found.shape == (n, 1, 8, 8)
    assert len(found.flatten(1).unique(dim=0)) == n
    short, rngs = load(made), [torch.Generator().manual_seed(seed_of(7, rank)) for rank in range(2)]
    if n == 1:
        assert torch.equal(found, short.sample(1, rngs[0]))
    else:
        assert torch.equal(found, ordered(*own(short, n, 7, batch=3)))


def test_an_existing_file_is_refused_in_one_line(made, pair, tmp_path):
    (tmp_path / "a.npy").write_bytes(b"old")
    words = ["sample", str(made), "--out", str(tmp_path / "a.npy")]
    (code, stdout, stderr), other = in_both(pair, words)
    assert (code, stdout, other) == (2, "", [2, "", ""])
    assert stderr.endswith("a.npy exists; replace it by --force, or choose another name\n")
    assert stderr.count("\n") == 1
    assert (tmp_path / "a.npy").read_bytes() == b"old"


def test_chains_that_fail_in_one_process_end_both(made, pair, tmp_path):
    one, other = pair("broken_chains", run=made, out=tmp_path / "a.npy")
    assert one == [2, "", "error: process 1 of 2: the chains are broken\n"]
    assert other == [2, "", ""]
    assert list(tmp_path.iterdir()) == []


def test_other_weights_in_one_process_are_refused(made, pair, tmp_path):
    trained(tmp_path / "other", {"train.iterations": "4"})
    first, second = (["sample", str(place), "--out", str(tmp_path / "a.npy")] for place in (made, tmp_path / "other"))
    one, other = pair("commands", words=json.dumps(first), second=json.dumps(second))
    assert one[:2] == [2, ""]
    assert one[2].startswith("error: process 1 has other weights than process 0: ")
    assert other == [2, "", ""]
    assert not (tmp_path / "a.npy").exists()


def test_two_processes_evaluate_the_samples_of_both(made, pair):
    words = ["evaluate", str(made), "-n", "41", "--batch", "8", "-s", "features.size=4", "--seed", "3", "--json"]
    (code, stdout, _), other = in_both(pair, words)
    assert (code, other) == (0, [0, "", ""])
    short, examples, rng = load(made), Examples(digits()), torch.Generator().manual_seed(3)
    samples = ordered(*own(short, 41, 3, batch=8))
    short.sample(share_of(41, 0, 2), rng, batch=8)  # process 0 draws the noise after its samples
    expected = evaluate(
        lambda n: samples, lambda n: short.init.sample(n, rng), examples, Pixels(examples, size=4), n=41, seed=3
    )
    assert json.loads(stdout)["measures"] == json.loads(json.dumps(as_rows(expected)))
    assert json.loads((made / "evaluation.json").read_text(encoding="utf-8")) == json.loads(stdout)


@pytest.mark.parametrize("command", ["interpolate", "long-run", "reconstruct", "report", "export"])
def test_commands_of_one_process_are_refused_in_one_line(made, pair, command, tmp_path):
    words = [command, str(made), *([str(tmp_path / "a.safetensors")] if command == "export" else [])]
    one, other = in_both(pair, words)
    assert one == [2, "", f"error: {command} runs in one process, and 2 were started: run it without torchrun\n"]
    assert other == [2, "", ""]
    assert list(tmp_path.iterdir()) == []


def difference(one, other):
    """z of the difference of two means, of independent values `(n,)`."""
    error = math.sqrt(one.var() / len(one) + other.var() / len(other))
    return float(one.mean() - other.mean()) / error


def test_the_samples_of_two_processes_have_the_energy_of_those_of_one(made):
    short = load(made)
    single = energies(short.energy, short.sample(1600, torch.Generator().manual_seed(1)))
    first, second = (energies(short.energy, torch.cat(batches)) for batches in own(short, 1600, 2))
    assert abs(difference(torch.cat([first, second]), single)) < 5
    starts = energies(short.energy, short.init.sample(800, torch.Generator().manual_seed(3)))
    assert abs(difference(torch.cat([first, starts]), single)) > 5  # a process that runs no chains is found


def correlation(short):
    """z of the correlation of the energies of two processes, which is about standard normal if it is 0."""
    both = torch.stack([energies(short.energy, torch.cat(batches)) for batches in own(short, 400, 2)])
    return float(torch.corrcoef(both)[0, 1]) * math.sqrt(both.shape[1])


def test_the_draws_of_two_processes_are_independent(made, monkeypatch):
    assert abs(correlation(load(made))) < 5
    monkeypatch.setattr(shared_samples, "seed_of", lambda seed, rank: seed)
    assert correlation(load(made)) > 5  # the same seed in both is found


def test_one_process_writes_what_it_did(made, tmp_path):
    invoked("sample", made, "-n", 10, "--batch", 4, "--seed", 7, "--out", tmp_path / "a.npy")
    expected = load(made).sample(10, torch.Generator().manual_seed(7), batch=4)
    assert np.array_equal(np.load(tmp_path / "a.npy"), expected.numpy())
