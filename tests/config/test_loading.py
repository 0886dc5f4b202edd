from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import write

from coiled_runtime_cli import config, locations
from coiled_runtime_cli.errors import UsageError


def test_defaults_hold_where_nothing_is_said(tmp_path: Path, home: dict[str, str]) -> None:
    read = config.load(folder=tmp_path, environ=home)
    assert read.db == str(tmp_path / "benchmark.db")
    assert read.suites == locations.suites_folder()
    assert read.data == tmp_path / "home/.cache/crt/datasets"
    assert read.runs == tmp_path / "crt-runs"
    assert (read.cluster, read.scale, read.label) == ("local", "laptop", "local")
    assert (read.timeout, read.precision, read.max_time) == (3600, 0.05, 1800)
    assert (read.software, read.ci_url, read.scratch, read.cluster_override) == (None, None, None, None)
    assert read.files == ()
    assert {read.origin(key) for key in config.KEYS} == {"default"}


def test_the_database_of_the_working_folder_keeps_its_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read = config.load(environ={"HOME": str(tmp_path)})
    assert (read.db, read.runs) == ("benchmark.db", Path("crt-runs"))


LEVELS = ("user", "project", "environment", "flag")


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["db", "label", "cluster", "software", "scratch"]),
        st.sets(st.sampled_from(LEVELS), min_size=1),
    )
)
def test_the_stronger_source_wins_and_is_named(
    tmp_path_factory: pytest.TempPathFactory, given_at: dict[str, set[str]]
) -> None:
    folder = tmp_path_factory.mktemp("config")
    lines: dict[str, list[str]] = {level: [] for level in LEVELS}
    for key, levels in given_at.items():
        for level in levels:
            lines[level].append(f'{key} = "/from/{level}"')
    user = write(folder / "home/.config/crt/config.toml", "\n".join(lines["user"]))
    project = write(folder / "crt.toml", "\n".join(lines["project"]))
    environ = {"HOME": str(folder / "home")}
    environ |= {f"CRT_{key.upper()}": "/from/environment" for key, at in given_at.items() if "environment" in at}
    flags = {key: "/from/flag" if "flag" in given_at.get(key, ()) else None for key in config.KEYS}
    read = config.load(flags, folder=folder, environ=environ)
    origins = {"user": f"user file {user}", "project": str(project)}
    for key, levels in given_at.items():
        strongest = max(levels, key=LEVELS.index)
        assert getattr(read, key) == f"/from/{strongest}"
        expected = {"environment": f"CRT_{key.upper()}", "flag": f"--{key}", **origins}[strongest]
        assert read.origin(key) == expected
    assert read.files == (user, project)


def test_tables_of_user_and_project_are_merged_by_name(tmp_path: Path, home: dict[str, str]) -> None:
    write(
        tmp_path / "home/.config/crt/config.toml",
        '[clusters.big]\nworkers = 100\n[clusters.small]\nworkers = 1\n[sync]\nremote = "s3://bucket"',
    )
    write(tmp_path / "crt.toml", "[clusters.small]\nworkers = 2")
    read = config.load(folder=tmp_path, environ=home)
    assert read.clusters == {"big": {"workers": 100}, "small": {"workers": 2}}
    assert read.sync == {"remote": "s3://bucket"}


def test_a_chosen_file_is_read_alone(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "home/.config/crt/config.toml", 'label = "user"')
    write(tmp_path / "crt.toml", 'label = "project"')
    chosen = write(tmp_path / "elsewhere/any.toml", 'cluster = "coiled"')
    read = config.load(folder=tmp_path, environ=home, config_file=Path("elsewhere/any.toml"))
    assert (read.label, read.cluster, read.files) == ("local", "coiled", (chosen,))


def test_without_configuration_files_the_environment_still_holds(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", "not TOML at all")
    read = config.load(folder=tmp_path, environ={**home, "CRT_SCALE": "smoke"}, no_config=True)
    assert (read.label, read.scale) == ("local", "smoke")


def test_a_missing_chosen_file_and_contradictions_are_refused(tmp_path: Path, home: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"--config: no such file: .*nowhere\.toml"):
        config.load(folder=tmp_path, environ=home, config_file=Path("nowhere.toml"))
    with pytest.raises(UsageError, match="contradict"):
        config.load(folder=tmp_path, environ=home, config_file=Path("x.toml"), no_config=True)
    with pytest.raises(UsageError, match="no such file"):
        config.load(folder=tmp_path, environ=home, config_file=tmp_path)


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no /dev/null here")
def test_a_chosen_file_may_be_a_device(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'scale = "full"')
    assert config.load(folder=tmp_path, environ=home, config_file=Path("/dev/null")).scale == "laptop"


def test_a_working_folder_that_is_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="no longer exists"):
        config.load(environ={"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"max_time": "never"}, "--max-time: expected seconds above 0"),
        ({"precision": "0"}, "--precision: expected a share between 0 and 1"),
        ({"scale": "smok"}, "--scale: unknown scale 'smok'"),
        ({"db": "  "}, "--db: expected a path"),
    ],
)
def test_a_wrong_flag_is_refused_by_its_name(
    tmp_path: Path, home: dict[str, str], flags: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        config.load(flags, folder=tmp_path, environ=home)
    assert caught.value.message.startswith(message)


def test_a_key_that_no_command_may_pass_is_a_programming_error(tmp_path: Path, home: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown key 'lable': did you mean 'label'"):
        config.load({"lable": "x"}, folder=tmp_path, environ=home)
