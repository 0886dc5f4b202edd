from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coiled_runtime_cli import config, locations
from coiled_runtime_cli.errors import UsageError


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


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


def test_the_nearest_project_file_upwards_is_read(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'label = "far"')
    near = write(tmp_path / "a/pyproject.toml", '[tool.crt]\nlabel = "near"')
    write(tmp_path / "a/b/pyproject.toml", '[project]\nname = "has nothing of crt in tool"')
    (tmp_path / "a/b/c").mkdir()
    read = config.load(folder=tmp_path / "a/b/c", environ=home)
    assert (read.label, read.origin("label")) == ("near", str(near))


def test_crt_toml_wins_over_pyproject_in_the_same_folder(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'label = "own"')
    write(tmp_path / "pyproject.toml", '[tool.crt]\nlabel = "shared"')
    assert config.load(folder=tmp_path, environ=home).label == "own"


def test_a_broken_pyproject_of_another_project_is_none_of_our_business(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "pyproject.toml", "[project\nname = ")
    assert config.load(folder=tmp_path, environ=home).label == "local"


def test_relative_paths_start_from_the_file_that_says_them(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'suites = "mine"\ndb = "history/benchmark.db"\nruns = "journals"')
    (tmp_path / "deep").mkdir()
    read = config.load(folder=tmp_path / "deep", environ={**home, "CRT_DATA": "cache"})
    assert read.suites == tmp_path / "mine"
    assert read.db == str(tmp_path / "history/benchmark.db")
    assert read.runs == tmp_path / "journals"
    assert read.data == tmp_path / "deep/cache"


def test_a_relative_sqlite_url_starts_from_its_file_too(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'db = "sqlite:///history/benchmark.db?timeout=5"')
    read = config.load(folder=tmp_path, environ=home)
    assert read.db == f"sqlite:///{tmp_path}/history/benchmark.db?timeout=5"
    assert read.runs == tmp_path / "history/crt-runs"


def test_folder_and_bundle_of_reports_start_from_the_file_that_says_them(tmp_path: Path, home: dict[str, str]) -> None:
    write(
        tmp_path / "home/.config/crt/config.toml", '[report]\nplotly = "~nobody-of-this-name/plotly.js"\ntitle = "Ours"'
    )
    write(tmp_path / "crt.toml", '[report]\nout = "there"\ndays = 5')
    (tmp_path / "deep").mkdir()
    read = config.load(folder=tmp_path / "deep", environ=home)
    bundle = tmp_path / "home/.config/crt/~nobody-of-this-name/plotly.js"
    assert read.report == {"out": str(tmp_path / "there"), "plotly": str(bundle), "title": "Ours", "days": 5}
    write(tmp_path / "crt.toml", '[report]\nout = "~/there"')
    assert config.load(folder=tmp_path, environ=home).report["out"] == str(Path("~/there").expanduser())


def test_what_is_configured_of_a_bucket_is_not_meant_by_a_folder_whoever_names_it(
    tmp_path: Path, home: dict[str, str]
) -> None:
    write(tmp_path / "home/.config/crt/config.toml", '[sync]\nremote = "s3://b/p"\nprofile = "team"\nregion = "x"')
    bucket = config.remote(config.load(folder=tmp_path, environ=home))
    assert (bucket.remote, bucket.profile, bucket.region) == ("s3://b/p", "team", "x")
    other = config.remote(config.load(folder=tmp_path, environ={**home, "CRT_SYNC_REMOTE": "s3://c"}))
    assert (other.remote, other.profile) == ("s3://c", "team")
    from_variable = config.load(folder=tmp_path, environ={**home, "CRT_SYNC_REMOTE": "/mnt/team"})
    write(tmp_path / "crt.toml", '[sync]\nremote = "shared"')
    from_file = config.load(folder=tmp_path, environ=home)
    for settings_, folder in ((from_variable, "/mnt/team"), (from_file, str(tmp_path / "shared"))):
        found = config.remote(settings_)
        assert (found.remote, found.profile, found.region) == (folder, None, None)
        assert config.remote(settings_, profile="mine").profile == "mine"  # a flag, which the folder refuses


def test_keys_may_be_written_with_dashes(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'max-time = "1h30m"\nprecision = "2%"\ntimeout = 90')
    read = config.load(folder=tmp_path, environ=home)
    assert (read.max_time, read.precision, read.timeout) == (5400, 0.02, 90)


def test_tables_of_user_and_project_are_merged_by_name(tmp_path: Path, home: dict[str, str]) -> None:
    write(
        tmp_path / "home/.config/crt/config.toml",
        '[clusters.big]\nworkers = 100\n[clusters.small]\nworkers = 1\n[sync]\nremote = "s3://bucket"',
    )
    write(tmp_path / "crt.toml", "[clusters.small]\nworkers = 2")
    read = config.load(folder=tmp_path, environ=home)
    assert read.clusters == {"big": {"workers": 100}, "small": {"workers": 2}}
    assert read.sync == {"remote": "s3://bucket"}


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


def test_journals_of_a_server_are_kept_by_its_url_without_the_password(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    folders = {
        config.load({"db": f"postgresql://me{password}@host/runs"}, folder=tmp_path, environ=environ).runs
        for password in (":old", ":new", "")
    }
    assert len(folders) == 1
    assert folders.pop().parent == tmp_path / "state/crt/runs"


def test_a_relative_xdg_folder_is_ignored(tmp_path: Path, home: dict[str, str]) -> None:
    read = config.load(folder=tmp_path, environ={**home, "XDG_CACHE_HOME": "relative"})
    assert read.data == tmp_path / "home/.cache/crt/datasets"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('sclae = "smoke"', "crt.toml: unknown key 'sclae': did you mean 'scale'?"),
        ('scale = "hug"', "crt.toml: scale: unknown scale 'hug'"),
        ("scale = true", "crt.toml: scale: expected a text that is not empty, not True"),
        ('timeout = "soon"', "crt.toml: timeout: expected seconds above 0"),
        ("timeout = 0", "crt.toml: timeout: expected seconds above 0"),
        ("timeout = inf", "crt.toml: timeout: expected seconds above 0"),
        ("timeout = true", "crt.toml: timeout: expected seconds above 0"),
        ("timeout = [1]", "crt.toml: timeout: expected seconds above 0"),
        ('precision = "120%"', "crt.toml: precision: expected a share between 0 and 1"),
        ('label = ""', "crt.toml: label: expected a text that is not empty"),
        ('label = "a\\u001b[31m"', "crt.toml: label: expected a text without control characters"),
        ("db = 3", "crt.toml: db: expected a path, not 3"),
        ('suites = ""', "crt.toml: suites: expected a path, not ''"),
        ('clusters = "big"', "crt.toml: clusters: expected a table, not 'big'"),
        ("[clusters]\nbig = 3", "crt.toml: clusters.big: expected a table, not 3"),
        ("[detect]\nmin_effect = 0.1", "crt.toml: detect.min_effect: detect has no keys"),
        ('[bisect]\nrepo = "../dask"', "crt.toml: bisect.repo: bisect has no keys"),
        ("[sync]\n[sync]", "crt.toml: is not valid TOML"),
        ("label = ", "crt.toml: is not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_file_key_and_expectation(
    tmp_path: Path, home: dict[str, str], text: str, message: str
) -> None:
    write(tmp_path / "crt.toml", text)
    with pytest.raises(UsageError) as caught:
        config.load(folder=tmp_path, environ=home)
    assert message in caught.value.message
    assert str(tmp_path) in caught.value.message


def test_a_tool_crt_that_is_no_table_is_refused(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "pyproject.toml", "[tool]\ncrt = 3")
    with pytest.raises(UsageError, match=r"pyproject\.toml: tool\.crt: expected a table, not 3"):
        config.load(folder=tmp_path, environ=home)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path, home: dict[str, str]) -> None:
    (tmp_path / "crt.toml").write_bytes(b"label = '\xff'")
    with pytest.raises(UsageError, match="is not UTF-8"):
        config.load(folder=tmp_path, environ=home)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", "").chmod(0)
    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        config.load(folder=tmp_path, environ=home)


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


def test_a_password_never_shows_in_a_message(tmp_path: Path, home: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        config.load({"db": "postgresql://me:geheim@host/db\x07"}, folder=tmp_path, environ=home)
    assert "geheim" not in caught.value.message


def test_a_missing_chosen_file_and_contradictions_are_refused(tmp_path: Path, home: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"--config: no such file: .*nowhere\.toml"):
        config.load(folder=tmp_path, environ=home, config_file=Path("nowhere.toml"))
    with pytest.raises(UsageError, match="contradict"):
        config.load(folder=tmp_path, environ=home, config_file=Path("x.toml"), no_config=True)


def test_a_working_folder_that_is_gone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="no longer exists"):
        config.load(environ={"HOME": str(tmp_path)})


def test_a_key_that_no_command_may_pass_is_a_programming_error(tmp_path: Path, home: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="unknown key 'lable': did you mean 'label'"):
        config.load({"lable": "x"}, folder=tmp_path, environ=home)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql+psycopg://me:secret@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("postgresql://me:p%40ss:w@rd@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:secret@host/db", "postgresql://:***@host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        (
            "postgresql://host/db?user=me&password=secret&sslmode=require",
            "postgresql://host/db?user=me&password=***&sslmode=require",
        ),
        ("benchmark.db", "benchmark.db"),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, expected: str) -> None:
    assert config.masked(text) == expected


@pytest.mark.parametrize(
    ("db", "file"),
    [
        ("benchmark.db", "benchmark.db"),
        ("sqlite:///benchmark.db", "benchmark.db"),
        ("sqlite+pysqlite:////data/benchmark.db?mode=ro", "/data/benchmark.db"),
        ("sqlite://", None),
        (":memory:", None),
        ("postgresql://host/db", None),
    ],
)
def test_the_file_of_a_database_is_known_from_path_or_url(db: str, file: str | None) -> None:
    assert config.sqlite_file(db) == (None if file is None else Path(file))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (False, False, None)),
        ({"NO_COLOR": "1"}, (True, False, None)),
        ({"NO_COLOR": ""}, (False, False, None)),
        ({"TERM": "dumb"}, (True, False, None)),
        ({"FORCE_COLOR": "1"}, (False, True, None)),
        ({"FORCE_COLOR": "0"}, (False, False, None)),
        ({"COLUMNS": "100"}, (False, False, 100)),
        ({"COLUMNS": "wide"}, (False, False, None)),
        ({"COLUMNS": "100", "TERMINAL_WIDTH": "90"}, (False, False, 90)),
    ],
)
def test_the_terminal_is_read_from_the_usual_variables(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: tuple[bool, bool, int | None]
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "TERMINAL_WIDTH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (config.no_color(), config.force_color(), config.terminal_columns()) == expected


def test_values_are_shown_as_they_could_be_written(tmp_path: Path, home: dict[str, str]) -> None:
    read = config.load({"timeout": "1h30m", "precision": "2.5%"}, folder=tmp_path, environ=home)
    assert (read.shown("timeout"), read.shown("precision")) == ("5400 s", "2.5%")
    assert (read.shown("software"), read.shown("clusters"), read.shown("scale")) == ("", "", "laptop")
    again = config.load({key: read.shown(key) for key in ("timeout", "precision")}, folder=tmp_path, environ=home)
    assert (again.timeout, again.precision) == (read.timeout, read.precision)
