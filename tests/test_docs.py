"""The pages of documentation are about this crt: their commands are understood, and what they point at is there."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import typer

sys.path.insert(0, str(Path(__file__).parent))
import pages

from coiled_runtime_cli import cli
from coiled_runtime_cli.errors import CrtError

PAGES = [str(each) for each in pages.pages()]
#: The base of what the parser raises: typer brings its own click, or the installed one.
CLICK_ERROR = typer.BadParameter.__mro__[2]
#: What a page writes where a reader puts something of theirs, or leaves something out.
OPEN = ("...", "…", "[", "<", "X --help", "COMMAND", "crt X")


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_and_anchor_leads_somewhere(page):
    lost = []
    for link in pages.links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (pages.ROOT / page).parent / path if path else pages.ROOT / page
        if not target.exists() or (anchor and anchor not in pages.anchors(target)):
            lost.append(link)
    assert not lost


def test_the_index_names_every_page_of_the_documentation():
    there = {each.name for each in (pages.ROOT / "docs").glob("*.md")} - {"README.md"}
    assert there <= {each.partition("#")[0] for each in pages.links("docs/README.md")}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_one_of_crt_s(page):
    typed, named = pages.spoken(page)
    wrong = []
    for line in [*typed, *named]:
        if any(each in line for each in OPEN):
            continue
        words = shlex.split(re.split(r"\||2?>", line)[0], comments=True)[1:]
        if line in named and not any(each.startswith("-") for each in words):
            words.append("--help")  # prose names a command, and not what it is to be called with
        try:
            understand(words)
        except (CrtError, CLICK_ERROR) as error:
            wrong.append(f"{line}: {error}")
    assert not wrong


def understand(words):
    """Parse a command line as crt does, and do nothing of it. Raises what the parser raises."""
    command = typer.main.get_command(cli.app)
    context, words = None, list(words)
    name = "crt"
    try:
        while True:
            context = command.make_context(name, words, parent=context, obj=cli._Flags())
            words = [*getattr(context, "_protected_args", ()), *context.args]
            if not hasattr(command, "commands") or not words:
                return
            name, command, words = command.resolve_command(context, words)
    except typer.Exit:  # --help, --version
        return
    finally:
        cli._Flags().apply()


@pytest.mark.parametrize("line", ["bench --frobnicate", "dectet", "sync pusch", "bench --repeat", "db current extra"])
def test_a_command_that_crt_does_not_have_would_be_found(line):
    with pytest.raises((CrtError, CLICK_ERROR)):
        understand(line.split())


def snippet(page, name):
    """The fenced file that begins with its name as a comment."""
    (text,) = [text for _, text in pages.fenced(page, "python", "toml") if text.startswith(f"# {name}\n")]
    return text


def test_the_layers_of_the_architecture_page_are_those_that_imports_are_held_to():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    contracts = tomllib.loads(pages.read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    rows = re.findall(r"^\| (`[^|]+`) \| [^|]+ \|$", pages.read("docs/architecture.md"), flags=re.MULTILINE)
    assert [re.findall(r"`(\w+)`", row) for row in rows] == [each.split(" | ") for each in layers]


def test_the_files_of_the_architecture_page_and_its_picture_are_there():
    page, picture = pages.read("docs/architecture.md"), pages.read("docs/pictures/life-of-a-run.svg")
    named = set(
        re.findall(r"\b(?:\w+/)*\w+\.py\b|\b(?:\w+/)+(?!\w)", page + re.sub(r"<style>.*?</style>", "", picture))
    )
    named = {each for each in named if each.endswith(".py") or (pages.ROOT / "coiled_runtime_cli" / each).is_dir()}
    assert len(named) > 20
    for each in named:
        places = ("", "coiled_runtime_cli", "coiled_runtime_cli/core")
        assert any((pages.ROOT / folder / each).exists() for folder in places), each


@pytest.mark.slow
def test_the_suite_of_the_extending_page_is_measured_on_its_cluster(crt):
    (crt.folder / "test_tides.py").write_text(snippet("docs/extending.md", "test_tides.py"))
    (crt.folder / "crt.toml").write_text(snippet("docs/extending.md", "crt.toml"))
    benches = [each for each in pages.commands("docs/extending.md") if each.startswith("crt bench")]
    assert len(benches) == 2
    for command in benches:
        done = crt.run(*shlex.split(command)[1:])
        assert done.returncode == 0, done.stderr
    rows = crt.rows(
        "select cluster_spec.kind, metric.value from metric join run on run.key = metric.run_key"
        " join cluster on cluster.key = run.cluster_key"
        " join cluster_spec on cluster_spec.key = cluster.cluster_spec_key order by 1"
    )
    assert [kind for kind, _ in rows] == ["class", "local"]
    assert all(rows > 0 for _, rows in rows)


def test_the_data_set_of_the_extending_page_is_made_and_verified(tmp_path):
    from coiled_runtime_cli.core.scale import Scale
    from coiled_runtime_cli.datasets import cache

    space = {}
    exec(snippet("docs/extending.md", "coiled_runtime_cli/datasets/tides.py"), space)
    recipe = space["TIDES"]
    stored = cache.obtain(recipe, recipe.parameters(Scale.parse("smoke")), tmp_path, lambda done, total: None)
    assert (stored.rows, len(stored.files), stored.generated) == (10_000, 4, True)


def test_the_instrument_of_the_extending_page_measures(tmp_path):
    import types

    import cloudpickle
    from distributed import Client, LocalCluster

    from coiled_runtime_cli.core.record import Benchmark
    from coiled_runtime_cli.plugin.recorder import RunDraft

    name = "crt_instrument_of_a_page"
    module = types.ModuleType(name)
    sys.modules[name] = module
    cloudpickle.register_pickle_by_value(module)
    try:
        exec(snippet("docs/extending.md", "coiled_runtime_cli/plugin/instruments/collections.py"), module.__dict__)
        draft = RunDraft("1", Benchmark(path="test_x.py", name="test_x", originalname="test_x"))
        cluster = LocalCluster(n_workers=1, processes=True, dashboard_address=":0")
        with cluster, Client(cluster) as client, module.measure(draft, client):
            client.run(collect)
        assert draft.metrics["collections"].value >= 3
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules[name]


def collect():
    import gc

    return [gc.collect() for _ in range(3)]


def test_crt_has_one_version():
    from coiled_runtime_cli import __version__

    assert re.search(r'^version = "(.+)"$', pages.read("pyproject.toml"), flags=re.MULTILINE)[1] == __version__
