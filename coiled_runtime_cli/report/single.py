"""The whole site in one file that can be mailed: pages as templates, data and scripts within."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from coiled_runtime_cli import __version__
from coiled_runtime_cli.report import bisections, build, comparisons, pages
from coiled_runtime_cli.report.datafiles import DataFiles, environment_document, parts, sessions_by_month
from coiled_runtime_cli.report.encode import script_json
from coiled_runtime_cli.report.fingerprints import run_numbers
from coiled_runtime_cli.report.groups import group, slug
from coiled_runtime_cli.report.render import render
from coiled_runtime_cli.report.views import SiteView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.bisection import Bisection
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.report.build import Options, Progress

_MAIN = re.compile(r"<main\b.*</main>", re.DOTALL)
_TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)


def single_page(history: History, options: Options, progress: Progress) -> bytes:
    """One HTML document with everything that the folder would hold. The address tells the page: ``#page=compare.html``."""
    groups = group(history)
    digests = build.digest_units(history, groups, progress)
    site = pages.Pages(history, groups, digests, known=options.known, experiments=options.experiments)
    texts = {name: content.decode() for name, content in build.assets(options.plotly).items()}
    frame = build.Frame(history, site, options)
    parts: list[Markup] = []
    first = ""
    for done, (path, template, context) in enumerate(build.documents(history, site, options), start=1):
        view = replace(frame.of(path, template), inline={"crt.css": _style(texts["crt.css"])})
        html = render(template, site=view, **context)
        first = first or html
        parts.append(_page(path, html))
        progress("write pages", min(done, len(site.functions)), len(site.functions))
    parts += [
        Markup('<script type="application/json" data-name="{}">{}</script>\n').format(name, _json(payload))
        for name, payload in _data(history, groups, site, options)
    ]
    # the scripts of all pages, in the order in which a page of a folder would have them; crt.js before those that use it
    order = sorted(texts, key=lambda name: (name != "plotly.min.js", name != "crt.js", name not in _EARLY, name))
    parts += [_script(texts[name]) for name in order if name.endswith(".js")]
    body = "".join(parts).encode("utf-8", "backslashreplace")
    head, _, tail = _MAIN.sub(lambda _: '<main id="main" tabindex="-1"></main>', first, count=1).rpartition("</body>")
    progress("write", 1, 1)
    return head.encode("utf-8", "backslashreplace") + body + b"</body>" + tail.encode()


#: Scripts that others call as soon as they are read.
_EARLY = ("stats.js", "runs.js", "runpanel.js")


def bisection_page(bisection: Bisection) -> bytes:
    """One HTML document about one bisection: values by candidate, probabilities, every probe."""
    texts = {name: content.decode() for name, content in build.assets().items()}
    view = bisections.view(bisection)
    site = SiteView(
        title=view.title,
        root="",
        page="bisect",
        path="bisect.html",
        metrics=(),
        metric="",
        suites=(),
        has_tpch=False,
        bisections=(),
        runs=sum(each.outcome == "measured" for each in bisection.probes),
        sessions=1,
        first=None,
        last=view.started,
        version=__version__,
        assets={},
        inline={"crt.css": _style(texts["crt.css"])},
        alone=True,
    )
    head, _, tail = render("bisect.html", site=site, view=view).rpartition("</body>")
    body = "".join(_script(texts[name]) for name in ("plotly.min.js", "crt.js", "bisect.js"))
    return f"{head}{body}</body>{tail}".encode("utf-8", "backslashreplace")


def _page(path: str, html: str) -> Markup:
    """The main part of a page, asleep until the address asks for it."""
    main, title = _MAIN.search(html), _TITLE.search(html)
    assert main is not None
    assert title is not None
    # both come from a template that has escaped what they hold
    return Markup('<template data-path="{}" data-title="{}">{}</template>\n').format(
        path,
        unescape(title.group(1)),
        Markup(main.group(0)),  # noqa: S704
    )


def _data(history: History, groups: Any, site: pages.Pages, options: Options) -> Iterator[tuple[str, Any]]:
    numbers = run_numbers(history)
    files = DataFiles(history, numbers)
    for unit in groups.units:
        for part in parts(unit):
            yield from files.payloads(part)
    for number in site.functions:
        yield f"b/{groups.functions[number].slug}/figures", site.figures(number)
    bundles = list(comparisons.bundles(history, groups, site.metrics, numbers))
    for bundle in bundles:
        yield from bundle.write().items()
    yield (
        "compare",
        comparisons.catalogue(history, groups, bundles, site.metrics, site.hrefs, baseline=options.baseline),
    )
    for month, sessions in sessions_by_month(history).items():
        yield f"sessions/{month}", sessions
    for environment in history.environments:
        yield f"environments/{slug(environment.id)}", environment_document(environment)
    yield "search", {"entries": site.search()}


def _json(payload: Any) -> Markup:
    return Markup(script_json(payload))  # noqa: S704 - it has no "<"


def _style(text: str) -> str:
    return text.replace("</", "<\\/")


def _script(text: str) -> Markup:
    """A script within the document: a closing tag in one of its strings must not end it, nor an opening comment hide it."""
    safe = re.sub(r"<(?=/script|!--)", r"\\x3c", text, flags=re.IGNORECASE)
    return Markup(f"<script>{safe}</script>\n")  # noqa: S704
