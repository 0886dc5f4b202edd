"""What the commands of `crt data` have in common: a mistake says what to type, and every line fits a terminal."""

import shutil
import sys

import pexpect
import pytest

pytest.importorskip("fcntl", reason="needs POSIX locks")


@pytest.mark.parametrize("command", ["list", "make", "verify", "prune"])
def test_an_unknown_name_names_the_nearest(inside, cache, command):
    done = inside.run("data", command, "nyc_taxis")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown data set 'nyc_taxis': did you mean 'nyc_taxi'?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("make",), "no data set was named"),
        (("make", "--all", "nyc_taxi"), "--all is every data set: name none"),
        (("make", "nyc_taxi", "--scale", "huge"), "unknown scale 'huge'"),
        (("make", "nyc_taxi", "-n", "0"), "0 is not in the range"),
        (("prune", "--older-than", "soon"), "--older-than soon: expected a time"),
    ],
)
def test_wrong_usage_says_what_to_type(inside, cache, arguments, message):
    done = inside.run("data", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "hint:" in done.stderr or "expected a time" in done.stderr or "unknown scale" in done.stderr
    assert not cache.exists()


@pytest.mark.parametrize(
    "arguments", [("list",), ("list", "--scale", "full"), ("list", "nyc_taxi"), ("verify",), ("prune", "--dry-run")]
)
def test_in_a_terminal_of_80_columns_every_line_fits(crt, made_once, tmp_path, arguments):
    cache = tmp_path / "c"
    shutil.copytree(made_once, cache)
    (cache / ".nyc_taxi-0123456789ab.partial-dead").mkdir()
    child = pexpect.spawn(
        sys.executable,
        [*crt.command("data", *arguments)[1:]],
        dimensions=(60, 80),
        cwd=str(crt.folder),
        env={**crt.environment, "TERM": "xterm", "CRT_DATA": str(cache), "NO_COLOR": "1"},
        encoding="utf-8",
        timeout=60,
    )
    child.expect(pexpect.EOF)
    lines = child.before.splitlines()
    assert max(len(line) for line in lines if str(cache) not in line) <= 80, child.before
    assert any("nyc_taxi" in line for line in lines)


@pytest.mark.parametrize("command", ["", "list", "make", "verify", "prune"])
def test_help_fits_80_columns(inside, command):
    done = inside.run("data", *command.split(), "--help")
    assert done.returncode == 0
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
