import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))
from schemas import check_output
from turns import turn

# A shell that runs the tests in the background has them ignore Ctrl-C, and with them all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no finding; and CI tries the same examples each time, so that it judges the change and not the draw.
settings.register_profile(
    "crt", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("crt")

#: What the tests must not see of the machine that they run on.
ISOLATED = (
    "CRT_",
    "DB_NAME",
    "DASK_",
    "COILED_",
    "AB_VERSION",
    "GITHUB_",
    "GH_TOKEN",
    "PYTEST_",
    "NO_COLOR",
    "FORCE_COLOR",
    "AWS_",
)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    base = item.config._tmp_path_factory.getbasetemp()
    # a process of several has a folder of its own within that of the session
    folder = base.parent if hasattr(item.config, "workerinput") else base
    with turn(folder, alone=item.get_closest_marker("alone") is not None):
        yield


@dataclass
class Crt:
    """The real `crt` as a user starts it, in a folder of its own, with a suites folder beside it."""

    folder: Path
    environment: dict

    @property
    def suites(self):
        return self.folder / "suites"

    def suite(self, name, source):
        path = self.suites / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))

    def command(self, *arguments):
        return [sys.executable, "-m", "coiled_runtime_cli", *map(str, arguments)]

    def start(self, *arguments, **options):
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(self, *arguments, timeout=300, environment=None):
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        check_output(arguments, done.stdout)
        return done

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, **options).stdout)

    def rows(self, sql="select name, outcome from test_run order by name", database="benchmark.db"):
        import sqlite3

        connection = sqlite3.connect(self.folder / database)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()


@pytest.fixture
def crt(tmp_path):
    folder = tmp_path / "an empty folder"
    (folder / "suites").mkdir(parents=True)
    (folder / "suites" / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers --import-mode=importlib\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ISOLATED)}
    environment.update(
        HOME=str(tmp_path / "home"),
        XDG_CONFIG_HOME=str(tmp_path / "config"),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        XDG_STATE_HOME=str(tmp_path / "state"),
        XDG_DATA_HOME=str(tmp_path / "data"),
        CRT_SUITES=str(folder / "suites"),
        # the code under test is this one, wherever the tests were started
        PYTHONPATH=os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")])),
    )
    return Crt(folder, environment)


class Inside(Crt):
    """`crt` within the process of the test: without the second that each start takes. For what needs no process of its own."""

    capture = None

    def run(self, *arguments, timeout=None, environment=None):  # noqa: ARG002 - as of the one with a process
        from coiled_runtime_cli import cli

        with pytest.MonkeyPatch.context() as patch:
            for name in list(os.environ):
                if name.startswith(ISOLATED):
                    patch.delenv(name)
            for name, value in {**self.environment, **(environment or {})}.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            self.capture.readouterr()
            code = cli.run([str(each) for each in arguments])
            told = self.capture.readouterr()
        check_output(arguments, told.out)
        return subprocess.CompletedProcess(["crt", *map(str, arguments)], code, told.out, told.err)


@pytest.fixture
def inside(crt, capsys):
    found = Inside(crt.folder, crt.environment)
    found.capture = capsys
    return found


@pytest.fixture(scope="session")
def whole_history(tmp_path_factory):
    """A database with something of everything that commands show, made once: to be copied."""
    sys.path.append(str(Path(__file__).parent / "commands"))
    import whole

    file = tmp_path_factory.mktemp("history") / "benchmark.db"
    whole.make(file)
    return file


@pytest.fixture
def github(inside):
    """A server that is GitHub to `inside`, with a repository owner/project."""
    import github_server

    with github_server.served() as found:
        inside.environment.update(
            GITHUB_API_URL=found.url, GITHUB_TOKEN=github_server.TOKEN, GITHUB_REPOSITORY="owner/project"
        )
        yield found
