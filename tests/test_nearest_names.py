"""A name that is nearly right is answered with the right one, whatever it is a name of."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def there(inside: Any, whole_history: Path) -> Any:
    """A history, a suite, a repository."""
    shutil.copy(whole_history, inside.folder)
    inside.suite("benchmarks/test_tables.py", "def test_read_tables(): ...\n")
    clone = inside.folder / "clone"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(clone)]
    subprocess.run(["git", "init", "-q", "-b", "trunk", clone], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run([*git, "tag", "2026.8.0"], check=True)
    return inside


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("bnech", "bench"),
        ("sync psuh", "sync push"),
        ("bench --scael smoke", "--scale"),
        ("bench --format tabel", "table"),
        ("detect --fail-on regresion", "regression"),
        ("report --summary githb", "github"),
        ("--color alwyas config show", "always"),
        ("bench --suite tables --scale smok --dry-run", "smoke"),
        ("bench --suite tabels --dry-run", "tables"),
        ("bench test_raed_tables --dry-run", "test_read_tables"),
        ("bench --suite tables --cluster loacl --dry-run", "local"),
        ("bench --suite tables --profile memry --dry-run", "memray"),
        ("report --label upstraem", "upstream"),
        ("report --suite tabels", "tables"),
        ("detect --metric duratoin", "duration"),
        ("compare mian branch", "main"),
        ("compare main branch --across hots", "host"),
        ("diff main brnach", "branch"),
        ("noise test_smae", "test_same"),
        ("data make nyc_taxii", "nyc_taxi"),
        ("bisect --show 0baed001", "0bead001"),
        ("bisect --repo clone --good 2026.8 test_read_tables --dry-run", "2026.8.0"),
        ("bisect --repo clone --good tunrk test_read_tables --dry-run", "trunk"),
        ("db prune --session brnch-100-3.11 --dry-run", "branch-100-3.11"),
        ("sync push --session brnch-100-3.11 --remote remote", "branch-100-3.11"),
        ("db stamp haed", "head"),
        ("build --env cnda", "conda"),
        ("build --platform linux64", "linux-64"),
        ("config schema bnech", "bench"),
    ],
)
def test_the_nearest_name_is_told(there: Any, words: str, meant: str) -> None:
    (there.folder / "remote").mkdir()
    done = there.run(*words.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert f"did you mean {meant!r}?" in done.stderr or f"did you mean {meant}?" in done.stderr


def test_the_nearest_finding_key_and_variable_are_told(there: Any) -> None:
    told = there.json("detect", "--format", "json")
    identity = told["regressions"][0]["id"]
    done = there.run("detect", "accept", identity[:-1] + "-", "--reason", "x")
    assert f"did you mean {identity!r}?" in done.stderr
    done = there.run("config", "show", environment={"CRT_SCALEE": "1"})
    assert "did you mean 'CRT_SCALE'?" in done.stderr
    (there.folder / "crt.toml").write_text('lable = "x"\n')
    assert "did you mean 'label'?" in there.run("config", "show").stderr
