"""Random bytes, guided by coverage, for the parsers that read what others wrote: only CrtErrors and ValueErrors may come out.

Needs atheris, which has no place in the tests' environment:

    python -m venv fuzz && fuzz/bin/pip install atheris . && fuzz/bin/python .ci/fuzz.py segment --seconds 120

The parsers: journal, segment, unpack, catalog, retention, version, pin, quantity, toml. A finding is written beside, as crash-*.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

with atheris.instrument_imports(include=["coiled_runtime_cli"]):
    from coiled_runtime_cli import config
    from coiled_runtime_cli.core import catalog, pins, quantity, record, segment
    from coiled_runtime_cli.core.retention import Policy
    from coiled_runtime_cli.core.versions import parse_version
    from coiled_runtime_cli.errors import CrtError

if TYPE_CHECKING:
    from collections.abc import Callable

SEGMENT = segment.Segment(
    revision="a7c9a77d8d2b", session={"id": "s1", "started": None}, tables={"run": [{"uuid": "a", "duration": 1.5}]}
)
RAW = segment.to_bytes(SEGMENT)
KEY = segment.key_of(SEGMENT, RAW)


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def toml(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "crt.toml").write_bytes(data)
        config.load({}, environ={"HOME": name}, folder=folder)


def pin(data: bytes) -> None:
    text = text_of(data)
    pins.parse(text)
    pins.allows(text, "1.0")


PARSERS: dict[str, Callable[[bytes], object]] = {
    "journal": lambda data: record.decode(text_of(data)),
    "segment": segment.from_bytes,
    "unpack": lambda data: segment.unpack(KEY, data),
    "catalog": catalog.read,
    "retention": Policy.from_bytes,
    "version": lambda data: parse_version(text_of(data)),
    "pin": pin,
    "quantity": lambda data: quantity.parse_seconds(text_of(data)),
    "toml": toml,
}

#: What each one is begun with.
SEEDS = {
    "journal": record.encode(record.Run(uuid="a", session="s", benchmark="b", outcome="passed")).encode(),
    "segment": RAW,
    "unpack": segment.pack(RAW),
    "retention": b'{"schema": 1, "keep_days": 90}',
    "version": b"2024.2.1+17.gabc1234.dirty",
    "pin": b"dask >=2026.8.0,<2027",
    "quantity": b"1h30m",
    "toml": b'db = "x.db"\n[clusters.a]\nkind = "local"\n',
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parser", choices=sorted(PARSERS))
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    read = PARSERS[options.parser]

    def once(data: bytes) -> None:
        with contextlib.suppress(CrtError, ValueError):
            read(data)

    with tempfile.TemporaryDirectory() as corpus:
        if options.parser in SEEDS:
            Path(corpus, "seed").write_bytes(SEEDS[options.parser])
        # five seconds for one input are a finding, and so are 2 GiB
        flags = [f"-max_total_time={options.seconds}", f"-seed={options.seed}", "-timeout=5", "-rss_limit_mb=2048"]
        atheris.Setup([sys.argv[0], *flags, "-print_final_stats=1", corpus], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
