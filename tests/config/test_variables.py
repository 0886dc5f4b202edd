from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from coiled_runtime_cli import config
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("key", "variable"),
    [
        ("db", "DB_NAME"),
        ("software", "COILED_SOFTWARE_NAME"),
        ("label", "AB_VERSION"),
        ("label", "COILED_RUNTIME_VERSION"),
        ("cluster_override", "CLUSTER_KWARGS"),
    ],
)
def test_historic_variables_are_honoured_below_ours(
    tmp_path: Path, home: dict[str, str], key: str, variable: str
) -> None:
    read = config.load(folder=tmp_path, environ={**home, variable: "/old"})
    assert (str(getattr(read, key)), read.origin(key)) == ("/old", variable)
    ours = f"CRT_{key.upper()}"
    read = config.load(folder=tmp_path, environ={**home, variable: "/old", ours: "/new"})
    assert (str(getattr(read, key)), read.origin(key)) == ("/new", ours)


def test_an_empty_variable_is_not_set(tmp_path: Path, home: dict[str, str]) -> None:
    read = config.load(folder=tmp_path, environ={**home, "CRT_LABEL": "", "DB_NAME": ""})
    assert (read.label, read.origin("label"), read.origin("db")) == ("local", "default", "default")


def test_the_run_of_github_actions_is_known_from_its_variables(tmp_path: Path, home: dict[str, str]) -> None:
    github = {
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "dask/distributed",
        "GITHUB_RUN_ID": "42",
    }
    read = config.load(folder=tmp_path, environ=home | github)
    assert read.ci_url == "https://github.com/dask/distributed/actions/runs/42"
    assert read.origin("ci_url") == "GITHUB_RUN_ID"
    read = config.load(folder=tmp_path, environ={**home, **github, "CRT_CI_URL": "https://ci/1"})
    assert read.ci_url == "https://ci/1"


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CRT_SUITE": "x"}, "unknown environment variable 'CRT_SUITE': did you mean 'CRT_SUITES'?"),
        ({"CRT_TIMEOUT": "-1"}, "CRT_TIMEOUT: expected seconds above 0"),
        ({"CRT_SCALE": "-1"}, "CRT_SCALE: unknown scale '-1'"),
        ({"CRT_CLUSTERS": "x"}, "CRT_CLUSTERS: clusters is a table: a variable cannot hold it"),
        ({"DB_NAME": "a\nb://"}, "DB_NAME: expected a text without control characters"),
    ],
)
def test_a_wrong_variable_is_refused_by_its_name(
    tmp_path: Path, home: dict[str, str], variables: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        config.load(folder=tmp_path, environ=home | variables)
    assert caught.value.message.startswith(message)


def test_the_variable_of_shell_completion_is_not_ours(tmp_path: Path, home: dict[str, str]) -> None:
    assert config.load(folder=tmp_path, environ={**home, "_CRT_COMPLETE": "complete_bash"}).label == "local"


def test_variables_of_a_bisection_are_no_mistake_of_a_crt_that_it_starts(tmp_path: Path, home: dict[str, str]) -> None:
    variables = dict.fromkeys(("CRT_BISECT_IMPORTS", "CRT_BISECT_MODULES", "CRT_TARGET"), "x")
    assert config.load(folder=tmp_path, environ=home | variables).label == "local"
    with pytest.raises(UsageError, match="unknown environment variable 'CRT_BISECT_MODULE'"):
        config.load(folder=tmp_path, environ={**home, **variables, "CRT_BISECT_MODULE": "x"})
