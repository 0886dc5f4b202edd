"""Texts without the passwords in them."""

from __future__ import annotations

import re


def masked(text: str) -> str:
    """The text with the passwords of the URLs in it replaced by ``***``."""
    text = re.sub(r"(\w://[^\s/:@\"]*):[^\s/\"]*@", r"\1:***@", text)
    return re.sub(r"(?i)([?&][a-z_]*(?:password|secret|token)[a-z_]*=)[^&\s\"]+", r"\1***", text)
