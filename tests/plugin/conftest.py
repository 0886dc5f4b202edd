import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # what the tests of this folder share

from coiled_runtime_cli import journal
from coiled_runtime_cli.core.record import Collected, Environment, Run


@dataclass
class Recorded:
    """A finished pytest process and the journal that it left."""

    returncode: int
    output: str
    lines: tuple = ()

    @property
    def runs(self):
        return {line.benchmark.partition("::")[2]: line for line in self.lines if isinstance(line, Run)}

    @property
    def environments(self):
        return {line.id: line for line in self.lines if isinstance(line, Environment)}

    @property
    def collected(self):
        return next(line for line in self.lines if isinstance(line, Collected))


@dataclass
class Measured:
    """Writes files of tests into an empty folder and measures them with a real pytest, as `crt bench` would start it."""

    folder: Path
    settings: dict = field(default_factory=dict)

    def write(self, name, source):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))

    def arguments(self, *arguments, python=sys.executable):
        session = self.folder / "session.json"
        settings = {
            "session": "the-session",
            "folder": str(self.folder / "journal"),
            "suites": str(self.folder),
            "data": str(self.folder / "data"),
            "clusters": {},
            **self.settings,
        }
        session.write_text(json.dumps(settings))
        return [
            python,
            *("-m", "pytest", "-p", "coiled_runtime_cli.plugin", "-p", "no:cacheprovider", "-c", os.devnull),
            *(f"--rootdir={self.folder}", "--benchmark", f"--crt-session={session}", "-q", *arguments),
        ]

    def run(self, *arguments, environment=None, python=sys.executable):
        done = subprocess.run(
            self.arguments(*arguments, python=python),
            cwd=self.folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )
        return Recorded(done.returncode, done.stdout + done.stderr, journal.read(self.folder / "journal").lines)


@pytest.fixture
def measured(tmp_path):
    return Measured(tmp_path)
