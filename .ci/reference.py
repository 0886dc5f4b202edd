"""Write docs/reference.md from the commands themselves: usage, options, examples, JSON; and from the configuration.

    python .ci/reference.py [--check]

With --check nothing is written, and the exit code is 1 where the page is not what the commands are.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import typer

from coiled_runtime_cli import cli, config, locations

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
WIDTH = 80

HEAD = """\
# Reference

Every command of `crt` as `crt COMMAND --help` shows it, what it writes with `--format json`, and the configuration. This page
is made by `python .ci/reference.py`; the schemas in full: `crt config schema COMMAND`.
"""

#: What each key of the configuration is; tables are in docs of their commands.
KEYS = {
    "db": "path of an SQLite file, or an SQLAlchemy URL",
    "suites": "folder of suites",
    "data": "cache of data sets",
    "history": "cache of what was read from databases",
    "environments": "cache of environments that were made to be measured",
    "cluster": "local, coiled, an address, or a name of `[tool.crt.clusters]`",
    "clusters": "table: clusters by name, each with `class` or `kind`, and keywords",
    "cluster_override": "file of cluster shapes, merged over those of the suites",
    "scale": "smoke, laptop, full, or a multiple of laptop",
    "label": "the runtime under test",
    "timeout": "longest time of one test",
    "precision": "half-width of the interval that `--repeat auto` stops at",
    "max_time": "longest time that `--repeat auto` takes",
    "software": "Coiled software environment",
    "ci_url": "address of the CI run that is measuring",
    "scratch": "folder or URL prefix for what tests write",
    "artifacts": "folder or URL prefix for reports, profiles and cluster dumps",
    "runs": "journals of sessions that are not in the database yet",
    "sync": f"table: {', '.join(config.SYNC_KEYS)}",
    "build": f"table: {', '.join(config.BUILD_KEYS)}",
    "report": "table: out, title, baseline, days, plotly",
    "detect": "table",
    "bisect": "table",
}

CODES = """\
## Exit codes

| code | meaning |
|---|---|
| 0 | success |
| 1 | a finding where a gate was asked for |
| 2 | wrong usage or configuration |
| 3 | a tool, a build, a database or a benchmark could not run |
| 4 | credentials, a bucket, a scheduler or the network |
| 5 | inconclusive |
| 130 | interrupted |

They are the same in every format. `crt bisect-step` exits with what `git bisect run` understands: 0, 1, 125 or 128.
"""


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.is_file() and PAGE.read_text() == text:
            return 0
        sys.stderr.write(f"{PAGE} is not what the commands are: python .ci/reference.py\n")
        return 1
    PAGE.write_text(text)
    return 0


def page() -> str:
    root: Any = typer.main.get_command(cli.app)
    # a width of its own: the page is the same whatever window it is made in
    ctx = root.make_context("crt", [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH)
    parts = [HEAD, "## crt\n", _block(ctx)]
    for name in root.list_commands(ctx):
        parts += _command(root.get_command(ctx, name), name, ctx)
    return "\n".join([*parts, CODES, _configuration()])


def _command(command: Any, name: str, parent: Any) -> list[str]:
    ctx = type(parent)(command, info_name=name, parent=parent, resilient_parsing=True)
    path = ctx.command_path.removeprefix("crt ")
    parts = [f"## crt {path}\n", _block(ctx)]
    file = locations.SCHEMAS / f"{path.replace(' ', '_')}.schema.json"
    if file.is_file():
        parts.append(_json(json.loads(file.read_text())))
    for each in command.list_commands(ctx) if hasattr(command, "list_commands") else ():
        parts += _command(command.get_command(ctx, each), each, ctx)
    return parts


def _block(ctx: Any) -> str:
    lines = [line.rstrip() for line in ctx.command.get_help(ctx).splitlines()]
    return "```\n" + "\n".join(lines).strip() + "\n```\n"


def _json(schema: dict[str, Any]) -> str:
    """The keys of each form of the document, by name; those of objects within are in the schema."""
    forms = schema.get("anyOf", [schema])
    lines = [f"`--format json`: {schema['description']}\n"]
    for form in forms:
        keys = [f"`{key}`" + _kind(each) for key, each in form["properties"].items() if key != "schema"]
        lines.append(f"- {', '.join(keys)}")
    return "\n".join(lines) + "\n"


def _kind(schema: dict[str, Any]) -> str:
    if schema.get("type") != "array":
        return ""
    inside = schema["items"].get("properties", {})
    return f" [{{{', '.join(inside)}}}]" if inside else " [...]"


def _configuration() -> str:
    missing = set(KEYS) ^ set(config.KEYS)
    if missing:
        sys.exit(f"keys of the configuration that are described and are not, or are and are not described: {missing}")
    lines = [
        "## Configuration\n",
        "A default is overruled by your own file, that by the project's `crt.toml` or `[tool.crt]` in `pyproject.toml`, that",
        "by a variable, and that by a flag. `crt config show --origin` says which one holds.\n",
        "| key | variable | what |",
        "|---|---|---|",
    ]
    for key in config.KEYS:
        names = [] if key in config.TABLES else [f"CRT_{key.upper()}", *config.HISTORIC.get(key, ())]
        if key == "sync":
            names = [f"CRT_SYNC_{each.upper()}" for each in config.SYNC_KEYS]
        lines.append(f"| `{key}` | {', '.join(f'`{each}`' for each in names)} | {re.sub(r'[|]', '/', KEYS[key])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
