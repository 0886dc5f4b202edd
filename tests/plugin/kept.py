"""Artefacts that were kept, by their addresses."""

from pathlib import Path
from urllib.parse import unquote, urlsplit


def path_of(url):
    parts = urlsplit(url)
    assert parts.scheme == "file"
    return Path(unquote(parts.path))
