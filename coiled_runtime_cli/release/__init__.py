"""The steps of a release on this machine: what is checked before, the version, the tag, the feedstock's branch.

Each can be taken again: what is done already is found, and left. Nothing leaves the machine unless a push is asked for.
"""

from __future__ import annotations

from typing import Literal

#: What became of a step; ``would``: a dry run.
Done = Literal["done", "already", "would"]
