"""What the measured side is told: the settings of one session, as one JSON document that needs nothing to read."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    session: str  # id, UUIDv7
    folder: str  # of the journal
    suites: str  # folder that benchmark ids are relative to
    data: str  # cache of data sets
    label: str = "local"
    scale: str = "laptop"
    #: Cluster specifications as JSON by shape; the shape "" serves every name that is not here.
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    scratch: str | None = None  # folder or URL prefix for scratch_url; None: a temporary folder
    artifacts: str = ""  # folder of profiles, reports and dumps: a folder a session, in it one a run
    artifacts_url: str | None = None  # what they are uploaded below
    software: str | None = None
    timeout: float | None = None  # s, for each test
    repeat: int = 0  # index of this round
    only: list[str] | None = None  # benchmark ids to run; None: all that are collected
    parent: int | None = None  # pid of the crt that started pytest: when it is gone, pytest stops
    watched: list[str] = field(default_factory=list)  # modules whose identity is recorded, wherever they come from
    database: str | None = None  # where the rows go in the end; tests may read it

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SessionSettings:
        known = {each.name for each in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})
