"""`ebmkit plugins NAME`, and `--check NAME`: the kit from the command line."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from typer.testing import CliRunner

from ebmkit.cli.main import app
from ebmkit.cli.plugin_packages import parts_of
from ebmkit.interfaces import Sampler, State, noise_like, value_and_grad
from ebmkit.registry.component import SESSION, Plugin
from ebmkit.registry.lookup import get_registry, register
from ebmkit.testing import checks

pytestmark = pytest.mark.usefixtures("fresh_registry")


@dataclass(frozen=True, kw_only=True)
class Mender(Sampler):
    """Langevin dynamics that replaces [/red] NaN by 0.

    Args:
        steps: K, the length of one chain.
    """

    steps: int = 4

    def chain(self, energy, x, rng) -> Iterator[State]:
        for _ in range(self.steps):
            _, gradient = value_and_grad(energy, x)
            x = x - 0.1 * gradient.nan_to_num(0.0) + 0.1 * noise_like(x, rng)
            yield State(x, {})


def needy(*, path: str) -> None:
    """Data from a file.

    Args:
        path: The file.
    """
    raise AssertionError(path)


class Leaver:
    """Exits the program."""

    def __init__(self) -> None:
        sys.exit(0)


@dataclass(frozen=True, kw_only=True)
class Talker(Mender):
    """A correct variant that prints.

    Args:
        steps: K, the length of one chain.
    """

    def __post_init__(self) -> None:
        print("hello")

    def chain(self, energy, x, rng) -> Iterator[State]:
        for _ in range(self.steps):
            _, gradient = value_and_grad(energy, x)
            x = x - 0.1 * gradient + 0.1 * noise_like(x, rng)
            yield State(x, {})


def called(*arguments: str, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["plugins", *arguments], env={"EBMKIT_PLUGINS": "none"})
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


def test_checks_are_printed_with_failures_first():
    register("sampler", "mender", Mender)
    stdout, stderr = called("--check", "mender", code=1)
    lines = stdout.splitlines()
    assert lines[0].startswith("sampler mender · registered in this session: 1 failed, ")
    assert lines[1].split() == ["failed", "chains_do_not_replace_nan"]
    assert "64 of 64 examples moved to finite values" in lines[2]
    names = [name for line in lines for name in line.split() if name in checks("sampler")]
    assert sorted(names) == sorted(checks("sampler"))
    assert not [line for line in lines if line != line.rstrip()]
    assert all(len(line) <= 80 for line in lines[1:])
    assert stderr.strip().endswith(f"error: 1 of {len(names)} checks failed")


def test_checks_are_available_as_json():
    register("sampler", "mender", Mender)
    (found,) = json.loads(called("--check", "mender", "--json", code=1)[0])
    assert (found["kind"], found["name"]) == ("sampler", "mender")
    assert [one["check"] for one in found["checks"]] == list(checks("sampler"))
    assert [one["check"] for one in found["checks"] if one["verdict"] == "failed"] == ["chains_do_not_replace_nan"]


def test_a_name_selects_all_parts_that_have_it():
    stdout, _ = called("gaussian", "--check")
    assert "energy gaussian · ebmkit" in stdout
    assert "init gaussian · ebmkit" in stdout
    assert "failed " not in stdout.replace("0 failed", "")


def test_settings_reach_the_part_that_is_checked():
    register("sampler", "mender", Mender)
    (found,) = json.loads(called("--check", "langevin", "-s", "sampler.noise=0", "--json")[0])
    assert {one["verdict"] for one in found["checks"]} == {"passed", "not promised"}
    message = called("--check", "mender", "-s", "sampler.step=3", code=2)[1]
    assert "nothing that is checked has a setting sampler.step. Did you mean 'steps'?" in message
    assert "steps must be int, not 'few'" in called("--check", "mender", "-s", "sampler.steps=few", code=2)[1]


def test_a_part_without_a_required_setting_says_which():
    register("data", "needy", needy)
    assert (
        "error: data 'needy' has settings without a default; add -s data.path=..."
        in called("--check", "needy", code=2)[1]
    )
    (found,) = json.loads(called("--check", SESSION.package, "--json")[0])
    assert found["checks"] == [
        {
            "check": "it_can_be_made",
            "verdict": "not promised",
            "reason": "it has settings without a default; add -s data.path=...",
        }
    ]


def test_a_part_that_cannot_be_built_says_what_it_raised():
    register("sampler", "leaver", Leaver)
    (found,) = json.loads(called("--check", "leaver", "--json", code=1)[0])
    (one,) = found["checks"]
    assert (one["check"], one["verdict"]) == ("it_can_be_made", "failed")
    assert one["reason"].startswith(f"building it raised SystemExit: 0 ({__name__}, line ")


def test_what_a_part_prints_goes_to_stderr():
    register("sampler", "talker", Talker)
    stdout, stderr = called("--check", "talker", "--json")
    assert [one["name"] for one in json.loads(stdout)] == ["talker"]
    assert "hello" in stderr


def test_a_broken_part_does_not_affect_settings_of_others():
    register("sampler", "talker", Talker)
    register("sampler", "absent", "nowhere:Absent")
    found = json.loads(called("--check", SESSION.package, "-s", "sampler.steps=2", "--json", code=1)[0])
    verdicts = {one["name"]: [check["verdict"] for check in one["checks"]] for one in found}
    assert "failed" not in verdicts["talker"]
    assert verdicts["absent"] == ["failed"]


@pytest.mark.parametrize("name", ["moons", "ebmkit:moons", "shortrun-ebmkit:moons"])
def test_a_built_in_part_has_three_names(name):
    assert [part.name for part in parts_of(name)] == ["moons"]
    assert parts_of("ebmkit") == parts_of("shortrun-ebmkit")
    assert {part.name for part in parts_of("ebmkit")} >= {"langevin", "digits-quick"}


def test_the_name_of_a_part_without_check_says_what_to_type():
    assert "'hmc' is no plug-in, but its parts can be tested: ebmkit plugins --check hmc" in called("hmc", code=2)[1]


def test_an_unknown_name_is_refused_with_the_nearest():
    assert (
        "no package, part or preset is called 'langevn'. Did you mean 'langevin'?"
        in called("--check", "langevn", code=2)[1]
    )
    assert "no plug-in 'ebmkit-mala'. Installed: none." in called("ebmkit-mala", code=2)[1]


def test_settings_without_a_check_are_refused():
    assert "write: ebmkit plugins --check NAME -s ..." in called("-s", "sampler.steps=3", code=2)[1]


def test_checking_a_package_that_did_not_load_is_an_error():
    get_registry().plugins.append(Plugin("bad-one", "0.1", "bad = bad", "ModuleNotFoundError: nowhere"))
    assert "bad-one 0.1 did not load: ModuleNotFoundError: nowhere" in called("--check", "bad-one", code=2)[1]


def test_a_single_package_can_be_shown():
    get_registry().plugins += [Plugin("one", "0.1", "one = one"), Plugin("two", "0.2", "two = two", "ValueError: x")]
    assert called("one")[0].strip() == "one 0.1 (one = one):"
    assert [plugin["package"] for plugin in json.loads(called("one", "--json")[0])] == ["one"]
    assert "did not load: ValueError: x" in called("two")[0]
    assert "error: 1 of 2 plug-ins did not load" in called("--check", code=1)[1]
