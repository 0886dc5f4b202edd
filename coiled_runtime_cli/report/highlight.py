"""Source text with its syntax marked up: spans with short classes that crt.css gives colours."""

from __future__ import annotations

from markupsafe import Markup, escape

#: Characters beyond which a source is shown plain: a megabyte of spans helps nobody.
_LONGEST = 100_000


def python(source: str) -> Markup:
    """HTML of a Python source, escaped whatever it holds."""
    if len(source) > _LONGEST:
        return Markup('<pre tabindex="0"><code>{}</code></pre>').format(escape(source))
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    spans = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    # the formatter escapes the text of every token; its own spans are all that is left of markup
    return Markup(f'<pre tabindex="0"><code>{spans}</code></pre>')  # noqa: S704
