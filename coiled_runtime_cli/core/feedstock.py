"""A feedstock's recipe brought up to a release: version, hash, build number and pins, and everything else as it was.

Both formats of conda-forge: ``meta.yaml`` of conda-build, and ``recipe.yaml`` (v1) of rattler-build.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coiled_runtime_cli.core import recipe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.core.pins import Pin

#: Where a recipe says its own version: in a variable of either format, or plainly.
_VERSION = (
    re.compile(r'^(?P<before>{%-?\s*set\s+version\s*=\s*["\'])(?P<value>[^"\']+)(?P<after>["\'].*)$', re.MULTILINE),
    re.compile(
        r'^(?P<before>context:\s*\n(?:[ \t]+.*\n)*?[ \t]+version:\s*["\']?)(?P<value>[\w.]+)(?P<after>["\']?)',
        re.MULTILINE,
    ),
    re.compile(r'^(?P<before>\s+version:\s*["\']?)(?P<value>\d[\w.]*)(?P<after>["\']?\s*)$', re.MULTILINE),
)
_SHA256 = (
    re.compile(r'^(?P<before>{%-?\s*set\s+sha256\s*=\s*["\'])(?P<value>[0-9a-fA-F]*)(?P<after>["\'].*)$', re.MULTILINE),
    re.compile(r'^(?P<before>\s*-?\s*sha256:\s*["\']?)(?P<value>[0-9a-fA-F]+)(?P<after>["\']?\s*)$', re.MULTILINE),
)
_NUMBER = (
    re.compile(
        r'^(?P<before>{%-?\s*set\s+(?:build|build_number)\s*=\s*["\']?)(?P<value>\d+)(?P<after>["\']?.*)$', re.MULTILINE
    ),
    re.compile(r"^(?P<before>[ \t]+number:\s*)(?P<value>\d+)(?P<after>.*)$", re.MULTILINE),
)
_URL = re.compile(r"^[ \t]*-?[ \t]*url:[ \t]*(?P<url>\S[^\n]*?)[ \t]*$", re.MULTILINE)


class FeedstockError(ValueError):
    """A recipe that is not laid out as those of conda-forge are."""


def updated(text: str, *, version: str, depends: Sequence[Pin], sha256: str | None) -> str:
    """The recipe's text for a release. ``sha256`` is of its source; None leaves it. Raises FeedstockError."""
    text = _replaced(text, _VERSION, version, "its version")
    text = _replaced(text, _NUMBER, "0", "its build number")
    if sha256 is not None and has_source(text):
        text = _replaced(text, _SHA256, sha256, "the sha256 of its source")
    return _with_pins(text, depends)


def has_source(text: str) -> bool:
    return re.search(r"^source:", text, re.MULTILINE) is not None


def version_of(text: str) -> str:
    """Raises FeedstockError."""
    for pattern in _VERSION:
        if found := pattern.search(text):
            return str(found["value"])
    raise FeedstockError("it does not say its version")


def source_url(text: str, *, version: str) -> str | None:
    """Where the source of a version is, with the template's plain variables filled in; None where that is not plain."""
    if not has_source(text) or (found := _URL.search(text)) is None:
        return None
    values = dict(re.findall(r'{%-?\s*set\s+(\w+)\s*=\s*["\']([^"\']*)["\']', text))
    context = re.search(r"^context:\s*\n((?:[ \t]+.*\n)+)", text, re.MULTILINE)
    values.update(re.findall(r'^\s+(\w+):\s*["\']?([^"\'\n]*?)["\']?\s*$', context[1], re.MULTILINE) if context else [])
    values["version"] = version

    def value(match: re.Match[str]) -> str:
        expression = match[1].strip()
        if first := re.fullmatch(r"(\w+)\[0\]", expression):
            return str(values.get(first[1], ""))[:1] or match[0]
        return str(values.get(expression, match[0]))

    url = re.sub(r"\$?{{(.*?)}}", value, found["url"].strip("\"'"))
    return None if "{{" in url else url


def _replaced(text: str, patterns: Sequence[re.Pattern[str]], value: str, what: str) -> str:
    for pattern in patterns:
        found = pattern.search(text)
        if found is not None:
            start, end = found.span("value")
            return text[:start] + value + text[end:]
    raise FeedstockError(f"it does not say {what} where recipes of conda-forge do")


def _with_pins(text: str, depends: Sequence[Pin]) -> str:
    """Each pin as ours: edited where it stands, added below the last, and dropped where we have it no more."""
    wanted = {each.name: each for each in depends}
    there = recipe_text.names(text)
    if not there:
        raise FeedstockError("it has no requirements to run")
    for name in there:
        text = _with_pin(text, wanted[name]) if name in wanted else _without(text, name)
    missing = [each for each in depends if each.name not in there]
    return _with_more(text, [each for each in there if each in wanted][-1:], missing)


def _with_pin(text: str, pin: Pin) -> str:
    start, end = _place(text, pin.name)
    line = text[start:end]
    head = re.match(r"(\s*-\s+)", line)
    comment = re.search(r"\s+#.*$", line)
    assert head is not None
    return text[:start] + head[1] + str(pin) + (comment[0] if comment else "") + text[end:]


def _without(text: str, name: str) -> str:
    start, end = _place(text, name)
    return text[:start] + text[end + 1 :]


def _with_more(text: str, after: Sequence[str], pins_: Sequence[Pin]) -> str:
    if not pins_:
        return text
    if not after:
        raise FeedstockError("none of its requirements is one of ours: is it this package's feedstock?")
    start, end = _place(text, after[0])
    head = re.match(r"(\s*-\s+)", text[start:end])
    assert head is not None
    return text[:end] + "".join(f"\n{head[1]}{each}" for each in pins_) + text[end:]


def _place(text: str, name: str) -> tuple[int, int]:
    """Where the line of a requirement to run begins and ends."""
    line = re.compile(rf"^[ \t]*-\s+{re.escape(name)}(?![\w.-])[^\n]*$", re.MULTILINE | re.IGNORECASE)
    found = line.search(text, *recipe_text.run_list(text))
    if found is None:
        raise FeedstockError(f"its requirement {name} is not where it should be")
    return found.span()
