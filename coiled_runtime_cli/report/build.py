"""Build the site: what did not change since the last build is neither made nor written again."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import __version__
from coiled_runtime_cli.errors import ToolError, UsageError
from coiled_runtime_cli.report import bisections, comparisons, digest, feed, pages
from coiled_runtime_cli.report.datafiles import DataFiles, environment_document, parts, sessions_by_month
from coiled_runtime_cli.report.encode import data_file, script_json
from coiled_runtime_cli.report.fingerprints import run_numbers
from coiled_runtime_cli.report.folder import Folder, Written, building
from coiled_runtime_cli.report.groups import group, slug
from coiled_runtime_cli.report.render import render
from coiled_runtime_cli.report.views import LinkView, SiteView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from coiled_runtime_cli.core.findings import Known
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.report.datafiles import Part
    from coiled_runtime_cli.report.digest import UnitDigest
    from coiled_runtime_cli.report.groups import Groups
    from coiled_runtime_cli.report.pages import Pages

    #: Told of each step: what is being done, how much of it is done, how much there is.
    Progress = Callable[[str, int, int], None]

_PACKAGE = Path(__file__).resolve().parents[1]
_STATIC = Path(__file__).resolve().parent / "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a site is like. ``baseline`` is the label that the compare page starts from; ``known`` what people, and fresh runs,
    have said of findings; ``experiments`` asks for findings of A/B runs and bisections too; ``plotly`` is a bundle of plotly.js
    to ship in place of the whole.
    """

    title: str = "Benchmarks"
    baseline: str | None = None
    known: tuple[Known, ...] = ()
    experiments: bool = False
    plotly: Path | None = None


def look(history: History, options: Options, progress: Progress | None = None) -> Pages:
    """What the pages show, without writing any."""
    tell = progress or _silent
    groups = group(history)
    digests = digest_units(history, groups, tell)
    return pages.Pages(history, groups, digests, known=options.known, experiments=options.experiments)


def digest_units(history: History, groups: Groups, tell: Progress) -> list[UnitDigest]:
    """The digests of all units, none of them remembered."""
    return digest.digest_units(history, groups.units, lambda done, total: tell("search for changes", done, total))


def build(history: History, out: Path, options: Options, progress: Progress | None = None) -> Written:
    """Write the site of ``history`` into the folder ``out``; the same history gives the same bytes.

    Raises UsageError and ToolError as :func:`folder.building` does; the site that was there then stays as it was.
    """
    tell = progress or _silent
    tell("sort", 0, 1)
    groups = group(history)
    numbers = run_numbers(history)
    tell("sort", 1, 1)
    with building(out) as folder:
        same = folder.memory.get("renderer") == renderer()
        memory = folder.memory if same else {}
        units, digests = _units(history, groups, DataFiles(history, numbers), folder, memory.get("units", {}), tell)
        site = pages.Pages(history, groups, digests, known=options.known, experiments=options.experiments)
        bundles = comparisons.bundles(history, groups, site.metrics, numbers)
        bundled = _bundles(bundles, folder, memory.get("bundles", {}), tell)
        catalogue = comparisons.catalogue(history, groups, bundles, site.metrics, site.hrefs, baseline=options.baseline)
        folder.put("data/compare.js", data_file("compare", catalogue))
        drawn = _figures(groups, site, folder, units, memory.get("figures", {}), tell)
        _shared_data(history, folder, site, keep=same)
        for name, content in assets(options.plotly).items():
            folder.put(f"static/{name}", _AT_ONCE + content if name == "plotly.min.js" else content)
        for name, content in _pages(history, site, options, tell):
            folder.put(name, content)
        memory = {"renderer": renderer(), "units": units, "bundles": bundled, "figures": drawn}
        tell("write", 0, 1)
        written = folder.commit(memory)
        tell("write", 1, 1)
    return written


def _silent(stage: str, done: int, total: int) -> None:
    """What is told of the stages where nobody listens."""


@cache
def renderer() -> str:
    """Changes whenever anything that makes the site does: what was made by another crt is made again."""
    digest = hashlib.blake2b(__version__.encode(), digest_size=12)
    for folder in (_PACKAGE / "core", _PACKAGE / "report"):
        for file in sorted(folder.rglob("*")):
            if file.suffix in {".py", ".html", ".css", ".js"}:
                digest.update(file.relative_to(_PACKAGE).as_posix().encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


@cache
def assets(bundle: Path | None = None) -> dict[str, bytes]:
    """The static files by name, among them plotly.js: ``bundle``, else all of it as the plotly package ships it.

    Raises UsageError where ``bundle`` is no plotly.js that can draw what the pages have, ToolError where plotly is missing.
    """
    found = {file.name: file.read_bytes() for file in sorted(_STATIC.iterdir()) if file.is_file()}
    if bundle is None:
        # found, not imported: the script is all that is wanted of the package
        spec = importlib.util.find_spec("plotly")
        if spec is None or spec.origin is None:
            raise ToolError("plotly is not installed", hint="pip install plotly")
        found["plotly.min.js"] = (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_bytes()
        return found
    try:
        found["plotly.min.js"] = bundle.read_bytes()
    except OSError as error:
        raise UsageError(f"{bundle}: {error.strerror or error}", hint="give a bundle of plotly.js") from error
    banner = _BANNER.search(found["plotly.min.js"][:500].decode("utf-8", "replace"))
    if banner is None or banner["kind"] not in _BUNDLES:
        what = "no plotly.js" if banner is None else f"the {banner['kind']} bundle of plotly.js, which has no heat maps"
        raise UsageError(
            f"{bundle} is {what}", hint="give plotly-cartesian.min.js, of npm's plotly.js-cartesian-dist-min"
        )
    return found


#: Asks V8 to compile the functions of a script together, in the background, and not one within the other as they are called
#: (explicit compile hints; other engines see a comment). Of plotly.js that saves a tenth of the time until a chart is there.
_AT_ONCE = b"//# allFunctionsCalledOnLoad\n"

#: How a bundle of plotly.js tells what it is, and those that have every kind of chart that the pages draw.
_BANNER = re.compile(r"plotly\.js (?:\((?P<kind>[\w-]+) - minified\) )?v\d")
_BUNDLES = {None, "cartesian", "strict"}


def _units(
    history: History,
    groups: Groups,
    files: DataFiles,
    folder: Folder,
    remembered: Mapping[str, Any],
    tell: Progress,
) -> tuple[dict[str, Any], list[UnitDigest]]:
    """Write the runs of each unit that is new or has changed; return what to remember of each, and all digests."""
    memory: dict[str, Any] = {}
    digests: list[UnitDigest | None] = []
    fresh: list[int] = []
    for number, unit in enumerate(groups.units):
        fingerprints = {part.name: files.fingerprint(part) for part in parts(unit)}
        old = remembered.get(unit.name)
        known = None
        if old is not None and old["parts"] == fingerprints and folder.keep(_files(parts(unit))):
            known = digest.from_document(old["digest"])
            memory[unit.name] = old
        else:
            fresh.append(number)
            memory[unit.name] = {"parts": fingerprints}
        digests.append(known)
    units = [groups.units[each] for each in fresh]
    made = digest.digest_units(history, units, lambda done, total: tell("search for changes", done, total))
    for done, (number, unit, each) in enumerate(zip(fresh, units, made, strict=True), start=1):
        digests[number] = each
        memory[unit.name]["digest"] = digest.to_document(each)
        before = remembered.get(unit.name, {}).get("parts", {})
        for part in parts(unit):
            if before.get(part.name) != memory[unit.name]["parts"][part.name] or not folder.keep(_files([part])):
                for name, payload in files.payloads(part):
                    folder.put(f"data/{name}.js", data_file(name, payload))
        tell("write runs", done, len(fresh))
    return memory, [each for each in digests if each is not None]


def _files(of: Iterable[Part]) -> list[str]:
    return [f"data/{name}.js" for part in of for name in part.names]


def _figures(
    groups: Groups, site: Pages, folder: Folder, units: Mapping[str, Any], remembered: Mapping[str, Any], tell: Progress
) -> dict[str, str]:
    """Draw the functions that have a unit which changed; return what each was drawn from."""
    memory: dict[str, str] = {}
    metrics = repr(site.metrics)
    for done, number in enumerate(site.functions, start=1):
        function = groups.functions[number]
        made_of = [sorted(units[groups.units[each].name]["parts"].items()) for each in site.units(number)]
        made_from = hashlib.blake2b(f"{metrics}{made_of}".encode(), digest_size=12).hexdigest()
        name = f"data/b/{function.slug}/figures.js"
        if remembered.get(function.slug) != made_from or not folder.keep([name]):
            folder.put(name, data_file(f"b/{function.slug}/figures", site.figures(number)))
        memory[function.slug] = made_from
        tell("draw", done, len(site.functions))
    return memory


def _bundles(
    bundles: Sequence[comparisons.Bundle], folder: Folder, remembered: Mapping[str, Any], tell: Progress
) -> dict[str, Any]:
    """Write what the compare and bar pages load: values by runtime and month."""
    memory: dict[str, Any] = {}
    for done, bundle in enumerate(bundles, start=1):
        old = remembered.get(bundle.name)
        if old is None or old["fingerprint"] != bundle.fingerprint or not folder.keep(old["files"]):
            payloads = bundle.write()
            for name, payload in payloads.items():
                folder.put(f"data/{name}.js", data_file(name, payload))
            old = {"fingerprint": bundle.fingerprint, "files": sorted(f"data/{name}.js" for name in payloads)}
        memory[bundle.name] = old
        tell("write comparisons", done, len(bundles))
    return memory


def _shared_data(history: History, folder: Folder, site: Pages, *, keep: bool) -> None:
    """``keep`` leaves the environments that are there: the same crt wrote them."""
    for month, sessions in sessions_by_month(history).items():
        folder.put(f"data/sessions/{month}.js", data_file(f"sessions/{month}", sessions))
    for environment in history.environments:
        name = f"environments/{slug(environment.id)}"
        # its id is the hash of its packages
        if not (keep and environment.packages and folder.keep([f"data/{name}.js"])):
            folder.put(f"data/{name}.js", data_file(name, environment_document(environment)))
    folder.put("data/search.js", data_file("search", {"entries": site.search()}))


def _pages(history: History, site: Pages, options: Options, tell: Progress) -> Iterator[tuple[str, bytes]]:
    """Every page and the feed: path and bytes."""
    frame = Frame(history, site, options)
    count = len(site.functions)
    for done, (path, template, context) in enumerate(documents(history, site, options), start=1):
        yield path, render(template, site=frame.of(path, template), **context).encode("utf-8", "backslashreplace")
        tell("write pages", min(done, count), count)  # the few other pages come for nothing
    yield "feed.atom", feed.atom(site.changes.all, title=options.title, last=site.last)


def documents(history: History, site: Pages, options: Options) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, template and context of every page."""
    yield "index.html", "index.html", {"view": site.index()}
    for suite in site.suites():
        yield suite.href, "suite.html", {"view": suite}
    for number in site.functions:
        view = site.function(number)
        yield site.hrefs[number], "benchmark.html", {"view": view, "page": script_json(view.page)}
    yield "compare.html", "compare.html", comparisons.compare_context(options.baseline)
    yield "bars.html", "bars.html", comparisons.bars_context()
    tpch = comparisons.tpch_context(history)
    if tpch is not None:
        yield "tpch.html", "tpch.html", tpch
    for bisection in history.bisections:
        yield bisections.href(bisection), "bisect.html", {"view": bisections.view(bisection)}


class Frame:
    """What every page has: computed once, told apart by where the page is."""

    def __init__(self, history: History, site: Pages, options: Options) -> None:
        self._names = {
            name: f"{name}?v={hashlib.blake2b(content, digest_size=6).hexdigest()}"
            for name, content in assets(options.plotly).items()
        }
        self._site = site
        self._suites = site.suite_links()
        self._bisections = tuple(
            LinkView(text=bisections.title(each), href=bisections.href(each)) for each in history.bisections
        )
        self._view = SiteView(
            title=options.title,
            root="",
            page="index",
            path="index.html",
            metrics=site.metrics,
            metric=site.metrics[0].key if site.metrics else "duration",
            suites=self._suites,
            has_tpch=comparisons.has_tpch(history),
            bisections=self._bisections,
            runs=len(history.runs),
            sessions=len(history.sessions),
            first=site.first,
            last=site.last,
            version=__version__,
            assets=self._names,
        )

    def of(self, path: str, template: str) -> SiteView:
        root = "../" * path.count("/")
        return replace(
            self._view,
            root=root,
            path=path,
            page=template.removesuffix(".html"),
            suites=tuple(replace(each, href=root + each.href) for each in self._suites),
            bisections=tuple(replace(each, href=root + each.href) for each in self._bisections),
        )
