"""How large a benchmark is: the one place that turns ``--scale`` into counts and bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.nearest import unknown

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("smoke", "laptop", "full")

MIB = 2**20
GIB = 2**30

#: Usable memory (bytes) of the cluster that the predecessor's sizes were chosen on: 10 workers of 8 GiB.
REFERENCE_MEMORY = int(76.66 * GIB)

#: Memory (bytes) of a local worker whose tests scale with memory: a test that fills it is over in seconds.
WORKER_MEMORY = GIB

#: Part of the data that smoke keeps.
_SMOKE = 1 / 32

#: Bytes of an ordinary chunk: 128 MiB is what Dask makes by itself, and what a worker of 8 GiB is comfortable with.
_CHUNK = {"smoke": 4 * MIB, "laptop": 16 * MIB, "full": 128 * MIB}

#: Part of a pause that is slept.
_PAUSE = {"smoke": 1 / 100, "laptop": 1 / 10, "full": 1.0}


@dataclass(frozen=True, slots=True)
class Scale:
    """A named scale, or (``name`` is then the number as text) a multiple of ``laptop``.

    ``smoke`` proves that a suite runs; ``laptop`` takes seconds a test on a laptop; ``full`` is the predecessor's size on its
    clusters.
    """

    name: str
    factor: float  # relative to laptop; for a named scale only a hint, as each size is named where it is used

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Read ``smoke``, ``laptop``, ``full`` or a positive number. Raises ValueError on anything else."""
        if text in NAMES:
            return cls(text, {"smoke": 0.02, "laptop": 1.0, "full": 100.0}[text])
        try:
            factor = float(text)
        except ValueError:
            factor = math.nan
        if not (math.isfinite(factor) and factor > 0):
            raise ValueError(f"{unknown('scale', text, NAMES)}, or a positive number (1 is laptop)")
        return cls(f"{factor:g}", factor)

    def pick(self, *, smoke: float, laptop: float, full: float) -> float:
        """The size at this scale: the named one, or ``laptop`` times the number."""
        named = {"smoke": smoke, "laptop": laptop, "full": full}
        return named.get(self.name, laptop * self.factor)

    def count(self, *, smoke: int, laptop: int, full: int) -> int:
        """As :meth:`pick`, for things that are counted: a whole number, at least 1."""
        return max(1, round(self.pick(smoke=smoke, laptop=laptop, full=full)))

    def tpch_factor(self) -> float:
        """The scale factor of TPC-H, its gigabytes as text: 1 at laptop, so that a number is the scale factor itself."""
        return self.pick(smoke=0.01, laptop=1, full=1000)

    def worker_memory(self) -> int | None:
        """The most memory (bytes) of a local worker in tests that scale with it; None: all that the machine has."""
        if self.name == "full":
            return None
        return int(WORKER_MEMORY * (1.0 if self.name in NAMES else max(self.factor, 0.5)))


@dataclass(frozen=True, slots=True)
class Sizing:
    """Sizes that follow from the cluster: what the predecessor chose for its own, in the same ratio to the memory of this one."""

    scale: Scale
    memory: int  # bytes, sum of the workers' limits
    threads: int  # of all workers

    def __post_init__(self) -> None:
        if self.memory <= 0 or self.threads <= 0:
            raise ValueError(f"a cluster has memory and threads: {self.memory} bytes, {self.threads} threads")

    def data(self, ratio: float, *, gentle: bool = False) -> int:
        """Bytes of data: ``ratio`` times the memory of the cluster; of which ``smoke`` takes a 32nd.

        ``gentle``: for work that grows faster than its data. Above the size of the predecessor's cluster it then grows with the
        square root of the memory.
        """
        size = ratio * self.memory
        if gentle and self.memory > REFERENCE_MEMORY:
            size = ratio * math.sqrt(self.memory * REFERENCE_MEMORY)
        return max(1, int(size * (_SMOKE if self.scale.name == "smoke" else 1)))

    def files(self, ratio: float, count: int, *, gib: float) -> int:
        """How many of ``count`` files, which take ``gib`` GiB in memory, make :meth:`data` of ``ratio``; at least 1."""
        return max(1, min(count, int(self.data(ratio) * count / (gib * GIB))))

    def chunk(self, multiple: float = 1.0) -> int:
        """Bytes of a chunk: ``multiple`` times 128 MiB at full scale, 16 MiB at laptop and 4 MiB at smoke."""
        return max(8, int(_CHUNK.get(self.scale.name, _CHUNK["laptop"]) * multiple))

    def chunk_share(self) -> float:
        """Bytes of an ordinary chunk, as a part of those at full scale."""
        return self.chunk() / _CHUNK["full"]

    def pause(self, seconds: float) -> float:
        """How long a task sleeps that slept ``seconds`` on the predecessor's cluster: a tenth, at smoke a hundredth."""
        return seconds * _PAUSE.get(self.scale.name, _PAUSE["laptop"])

    def rows(self, nbytes: float, *, of: float) -> int:
        """The number of rows of ``of`` bytes each that take ``nbytes``; at least 1."""
        return max(1, int(nbytes / of))

    def square(self, nbytes: float, itemsize: int = 8) -> int:
        """Edge of a square array of ``nbytes``; at least 1."""
        return max(1, math.isqrt(int(nbytes / itemsize)))

    def shape(self, nbytes: float, template: Sequence[int | None], itemsize: int = 8) -> tuple[int, ...]:
        """``template`` with each None replaced by the one length that makes an array of ``nbytes``; at least 1.

        Raises ValueError when nothing is left open.
        """
        free = sum(each is None for each in template)
        if not free:
            raise ValueError(f"nothing to choose in {tuple(template)}")
        fixed = math.prod(each for each in template if each is not None)
        length = max(1, int((nbytes / itemsize / fixed) ** (1 / free) + 1e-9))
        return tuple(length if each is None else each for each in template)
