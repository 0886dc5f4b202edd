from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from coiled_runtime_cli import __version__, cli
from coiled_runtime_cli.core.nearest import LISTED

CRT = [sys.executable, "-m", "coiled_runtime_cli"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    checkout = str(Path(__file__).parents[1])  # the code under test, wherever the tests were started
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONIOENCODING": "utf-8", "PYTHONPATH": checkout}


def crt(
    *arguments: str, folder: Path, environment: dict[str, str], code: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run crt in a subprocess; ``code`` runs first in the same process, to put a command of the test's own there."""
    start = (
        CRT if code is None else [sys.executable, "-c", f"{code}\nfrom coiled_runtime_cli.__main__ import main\nmain()"]
    )
    return subprocess.run([*start, *arguments], capture_output=True, text=True, cwd=folder, env=environment, timeout=60)


def command(body: str) -> str:
    """Code that makes ``crt trial`` a command with this body."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return (
        "import sys, types\n"
        "from coiled_runtime_cli import cli, console, errors\n"
        "import typer\n"
        f"def trial():\n{lines}\n"
        "module = types.ModuleType('coiled_runtime_cli.commands.trial'); module.trial = trial\n"
        "sys.modules[module.__name__] = module\n"
        "cli._COMMANDS['trial'] = cli._Command('trial', 'trial', 'Try.')\n"
    )


def test_help_lists_every_command_and_exit_code(tmp_path: Path, environment: dict[str, str]) -> None:
    done = crt("--help", folder=tmp_path, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    for name in cli._COMMANDS:
        assert f"\n  {name} " in done.stdout
    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "130 "):
        assert f"\n    {code}" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
    assert crt("-h", folder=tmp_path, environment=environment).stdout == done.stdout


@pytest.mark.parametrize("name", [*cli._COMMANDS, "config show", "config path"])
def test_every_command_has_help(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    done = crt(*name.split(), "-h", folder=tmp_path, environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: crt {name} ")


def test_the_version_is_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    done = crt("--version", folder=tmp_path, environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"crt {__version__}\n", "")


@pytest.mark.parametrize("arguments", [(), ("config",)])
def test_without_a_command_help_comes_on_stderr(
    arguments: tuple[str, ...], tmp_path: Path, environment: dict[str, str]
) -> None:
    done = crt(*arguments, folder=tmp_path, environment=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: crt ")
    assert "error:" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bnech",), "error: unknown command 'bnech': did you mean 'bench'? (known: "),
        (("xyzzy",), f"error: unknown command 'xyzzy' (known: {', '.join(list(cli._COMMANDS)[:LISTED])}"),
        (("--qiet",), "error: crt has no option --qiet: did you mean --quiet?\n"),
        (("config", "shwo"), "error: unknown command 'config shwo': did you mean 'config show'?"),
        (("config", "show", "--orign"), "error: crt config show has no option --orign: did you mean --origin?\n"),
        (
            ("config", "show", "--format", "xml"),
            "error: --format: unknown value 'xml' (known: table, json, markdown, csv, ",
        ),
        (("config", "show", "--format"), "requires an argument"),
        (("config", "show", "extra"), "unexpected extra argument"),
        (("--color", "pink", "config", "show"), "error: --color: unknown value 'pink' (known: auto, always, never)\n"),
        (("--config", "absent.toml", "config", "show"), "error: --config: no such file: "),
        (("config", "show", "--config", "a", "--no-config"), "error: --config and --no-config contradict each other\n"),
    ],
)
def test_wrong_usage_is_a_message_a_hint_and_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    done = crt(*arguments, folder=tmp_path, environment=environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize(
    ("kind", "code"), [("UsageError", 2), ("ToolError", 3), ("RemoteError", 4), ("InconclusiveError", 5)]
)
def test_each_error_has_its_exit_code(kind: str, code: int, tmp_path: Path, environment: dict[str, str]) -> None:
    trial = command(f"console.result('so far')\nraise errors.{kind}('what went wrong', hint='what to type')")
    done = crt("trial", folder=tmp_path, environment=environment, code=trial)
    assert (done.returncode, done.stdout) == (code, "so far\n")
    assert done.stderr == "error: what went wrong\nhint: what to type\n"


def test_an_exit_code_of_a_command_is_kept(tmp_path: Path, environment: dict[str, str]) -> None:
    done = crt("trial", folder=tmp_path, environment=environment, code=command("raise typer.Exit(1)"))
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_bug_is_called_one_and_shows_its_traceback_only_on_request(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    trial = command("{}['missing']")
    done = crt("trial", folder=tmp_path, environment=environment, code=trial)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: this is a bug in crt: KeyError: 'missing' at ")
    assert "in trial" in done.stderr
    assert "Traceback" not in done.stderr
    for arguments in (("--debug", "trial"), ("trial", "--debug")):
        done = crt(*arguments, folder=tmp_path, environment=environment, code=trial)
        assert done.returncode == 3
        assert "Traceback (most recent call last)" in done.stderr
        assert "this is a bug in crt" in done.stderr


def test_what_the_machine_refuses_is_no_bug(tmp_path: Path, environment: dict[str, str]) -> None:
    trial = command("open('absent/file')")
    done = crt("trial", folder=tmp_path, environment=environment, code=trial)
    assert done.returncode == 3
    assert done.stderr.startswith("error: the system refused: [Errno 2] No such file or directory: 'absent/file' at ")


def test_an_interrupt_is_130_and_no_traceback(tmp_path: Path, environment: dict[str, str]) -> None:
    trial = command("import time\nconsole.note('ready')\nwhile True: time.sleep(0.05)")
    with subprocess.Popen(
        [sys.executable, "-c", f"{trial}\nfrom coiled_runtime_cli.__main__ import main\nmain()", "trial"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "warning: interrupted\n"
    assert process.returncode == 130


@pytest.mark.parametrize("arguments", [("--help",), ("config", "show"), ("config", "show", "--format", "json")])
def test_a_reader_that_goes_away_is_no_error(
    arguments: tuple[str, ...], tmp_path: Path, environment: dict[str, str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*CRT, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_error_keeps_its_code_when_nobody_reads_it(tmp_path: Path, environment: dict[str, str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([*CRT, "bnech"], stdout=writing, stderr=writing, cwd=tmp_path, env=environment)
    finally:
        os.close(writing)
    assert done.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [("--help",), ("config", "show")])
def test_a_full_disk_is_a_message(arguments: tuple[str, ...], tmp_path: Path, environment: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*CRT, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment
        )
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "this is a bug" not in done.stderr


def test_shared_flags_may_stand_before_or_after_the_command(tmp_path: Path, environment: dict[str, str]) -> None:
    trial = command("console.note('a note'); console.verbose('a detail')")
    for arguments, expected in [
        (("trial",), "a note\n"),
        (("-q", "trial"), ""),
        (("trial", "-q"), ""),
        (("--verbose", "trial"), "a note\na detail\n"),
        (("trial", "-v"), "a note\na detail\n"),
        (("trial", "-v", "--color", "always"), "a note\n\x1b[2ma detail\x1b[0m\n"),
    ]:
        done = crt(*arguments, folder=tmp_path, environment=environment, code=trial)
        assert (done.returncode, done.stderr) == (0, expected)


def test_shared_flags_may_follow_a_command_that_has_commands_of_its_own(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = crt("detect", "--no-progress", "--quiet", folder=tmp_path, environment=environment)
    assert done.returncode == 2
    assert "no database" in done.stderr


@pytest.mark.parametrize(
    ("variables", "arguments", "colored"),
    [
        ({}, (), False),
        ({"FORCE_COLOR": "1"}, (), True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, (), False),
        ({"FORCE_COLOR": "1"}, ("--color", "never"), False),
        ({"NO_COLOR": "1"}, ("--color", "always"), True),
    ],
)
def test_colour_is_decided_by_flag_then_no_color_then_force_color(
    variables: dict[str, str], arguments: tuple[str, ...], colored: bool, tmp_path: Path, environment: dict[str, str]
) -> None:
    done = crt(*arguments, "config", "show", folder=tmp_path, environment=environment | variables)
    assert ("\x1b[" in done.stdout) == colored


def test_config_show_says_where_each_value_comes_from(tmp_path: Path, environment: dict[str, str]) -> None:
    file = tmp_path / "crt.toml"
    file.write_text('label = "nightly"\n[clusters.big]\nurl = "tls://me:geheim@host"')
    variables = {"CRT_DB": "postgresql://me:geheim@host/db"}
    done = crt("config", "show", "--origin", "--format", "json", folder=tmp_path, environment=environment | variables)
    assert done.returncode == 0
    assert "geheim" not in done.stdout
    document = json.loads(done.stdout)
    assert list(document) == ["schema", "values", "origins"]
    assert document["values"]["label"] == "nightly"
    assert document["values"]["db"] == "postgresql://me:***@host/db"
    assert document["values"]["timeout"] == 3600
    assert document["values"]["software"] is None
    assert document["values"]["clusters"] == {"big": {"url": "tls://me:***@host"}}
    assert document["origins"]["label"] == str(file)
    assert document["origins"]["db"] == "CRT_DB"
    assert document["origins"]["scale"] == "default"
    for form in ("table", "markdown", "csv"):
        done = crt("config", "show", "--format", form, folder=tmp_path, environment=environment | variables)
        assert done.returncode == 0
        assert "nightly" in done.stdout
        assert "geheim" not in done.stdout
        assert "default" not in done.stdout


def test_config_path_prints_the_files_that_are_read(tmp_path: Path, environment: dict[str, str]) -> None:
    user = tmp_path / ".config/crt/config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("")
    (tmp_path / "crt.toml").write_text("")
    done = crt("config", "path", folder=tmp_path, environment=environment)
    assert done.stdout.splitlines() == [str(user), str(tmp_path / "crt.toml")]
    done = crt("config", "path", "--no-config", folder=tmp_path, environment=environment)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "expected"),
    [("crt ", set(cli._COMMANDS)), ("crt co", {"compare", "config"}), ("crt config ", {"show", "path", "schema"})],
)
def test_shells_get_completions(words: str, expected: set[str], tmp_path: Path, environment: dict[str, str]) -> None:
    done = crt(words, folder=tmp_path, environment=environment | {"_CRT_COMPLETE": "bash", "_CRT_BREAKS": " :="})
    assert (done.returncode, set(done.stdout.split())) == (0, expected)


def test_in_a_terminal_of_80_columns_the_configuration_fits(tmp_path: Path, environment: dict[str, str]) -> None:
    child = pexpect.spawn(
        sys.executable,
        [*CRT[1:], "--color", "never", "config", "show", "--origin"],
        dimensions=(24, 80),
        cwd=str(tmp_path),
        env={**environment, "TERM": "xterm"},  # type: ignore[arg-type]
        encoding="utf-8",
        timeout=30,
    )
    child.expect(pexpect.EOF)
    lines = (child.before or "").splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[0].split() == ["key", "value", "origin"]
