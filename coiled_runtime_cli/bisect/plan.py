"""What a bisection was asked to do: kept with it in the database, so that it can go on in another process, another day."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

#: What the candidates are.
COMMITS, RELEASES, PACKAGES = "commits", "releases", "packages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``target`` is a benchmark as it was named, or ``command`` is what is measured instead, in ``folder``."""

    kind: str
    good: str
    bad: str
    folder: str  # that the command runs in, and that relative paths start from
    repositories: tuple[tuple[str, str], ...] = ()  # name and folder of each clone, the searched one first
    package: str | None = None  # whose releases are searched
    target: str | None = None
    command: tuple[str, ...] = ()
    metric: str = "duration"
    better: str | None = None  # lower or higher; None: as the metric says, else lower
    find_fix: bool = False
    starts: tuple[int, ...] = ()  # where no good end was named: the candidates to try, the newest first
    first_parent: bool = True
    paths: tuple[str, ...] = ()
    weigh_files: bool = False
    python: str | None = None
    with_: tuple[str, ...] = ()
    environment: bool = True  # one is made; else a command runs in the caller's own
    install_command: str | None = None
    as_of: str | None = None
    confidence: float = 0.99
    min_effect: float = 0.02
    max_runs: int | None = None
    max_time: float | None = None
    timeout: float | None = None
    failure_is_bad: bool = False
    jobs: int = 1
    every: bool = False  # all changes of the range, not one
    verify: bool = True
    scale: str | None = None
    cluster: str | None = None
    suites: str | None = None
    host: str | None = None  # fingerprint of the machine that measures, where it is that

    @property
    def ends(self) -> tuple[str, str]:
        """What the older and the newer end of the range are called."""
        return ("bad", "good") if self.find_fix else ("good", "bad")

    @property
    def named_day(self) -> str | None:
        """Up to which moment there are releases, where one was named; None: up to now."""
        return None if self.as_of == "today" else self.as_of

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Plan:
        """Raises ValueError on what is no plan."""
        names = {each.name for each in dataclasses.fields(cls)}
        fields: dict[str, Any] = {key: document[key] for key in names & document.keys()}
        fields = {key: tuple(each) if isinstance(each, list) else each for key, each in fields.items()}
        fields["repositories"] = tuple((str(name), str(folder)) for name, folder in fields.get("repositories") or ())
        try:
            return cls(**fields)
        except TypeError as error:
            raise ValueError(f"not a plan of a bisection: {error}") from error
