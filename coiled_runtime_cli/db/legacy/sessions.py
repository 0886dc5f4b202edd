"""One session of the predecessor: which of its rows are runs, which of them are the same one, and what they belong to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coiled_runtime_cli.core import record
from coiled_runtime_cli.db.legacy import rows
from coiled_runtime_cli.db.legacy.source import text
from coiled_runtime_cli.db.legacy.store import NewRun, SessionRow, Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coiled_runtime_cli.db.legacy.rows import Row, Tpch
    from coiled_runtime_cli.db.legacy.source import Extent, Source

#: Runs that are written at a time.
_PORTION = 5_000

#: Label, CI run and scale: what a row says of its session.
Facts = tuple[str | None, str | None, str]


@dataclass(slots=True)
class Imported:
    """What an import did. Each row that was read is one of new, known, duplicate, merged and skipped."""

    rows: int = 0
    sessions: int = 0
    new: int = 0
    known: int = 0
    duplicates: int = 0
    merged: int = 0  # rows of tpch_run that tell more of a row of test_run
    skipped: Counter[str] = field(default_factory=Counter)  # by reason
    mended: Counter[str] = field(default_factory=Counter)  # values that were none, by what they were and became


@dataclass(slots=True)
class _TpchRows:
    """The rows of ``tpch_run`` about one test of a session; the k-th belongs to the test's k-th row in ``test_run``."""

    rows: list[tuple[Extent, Row]] = field(default_factory=list)
    taken: int = 0

    def take(self) -> tuple[Row | None, Tpch]:
        """The next row, None when all are taken, and what it (or the last one) tells beside measurements."""
        row = self.rows[self.taken][1] if self.taken < len(self.rows) else None
        self.taken += row is not None
        return row, rows.tpch(row if row is not None else self.rows[-1][1])


class SessionImport:
    """Imports one session within a transaction."""

    def __init__(self, store: Store, source: Source, extents: Sequence[Extent], done: Imported) -> None:
        self._store = store
        self._source = source
        self._extents = extents
        self._done = done
        self._mended = rows.Mended(done.mended)
        self._seen: set[str] = set()
        self._repeats: Counter[int] = Counter()
        self._open: dict[Facts, SessionRow] = {}
        self._pending: list[NewRun] = []
        self._tpch: dict[tuple[str | None, str | None], _TpchRows] = {}

    def portions(self) -> Iterator[int]:
        """Do it portion by portion; after each the rows that are done so far, in all sessions."""
        self._done.sessions += 1
        for extent in self._extents:
            for batch in self._source.rows(extent, "tpch_run"):
                for row in batch:
                    self._tpch.setdefault((text(row[3]), text(row[1])), _TpchRows()).rows.append((extent, row))
        self._ids = _session_ids(self._extents, self._all_facts())
        for extent in self._extents:
            for batch in self._source.rows(extent, "test_run"):
                for row in batch:
                    self._row(extent, "test_run", row)
                if len(self._pending) >= _PORTION:
                    self._write()
                yield self._done.rows
        for told in self._tpch.values():
            self._done.rows += told.taken
            self._done.merged += told.taken
            for extent, row in told.rows[told.taken :]:
                self._row(extent, "tpch_run", row)
        self._write()
        for session in self._open.values():
            self._store.close(session)
        yield self._done.rows

    def _all_facts(self) -> set[Facts]:
        filled = _filled(self._extents)
        if not self._tpch:
            return {(*filled[each.label, each.ci_url], rows.FULL) for each in self._extents}
        scales = {key: rows.tpch(told.rows[-1][1]).scale for key, told in self._tpch.items()}
        found: set[Facts] = set()
        for extent in self._extents:
            facts = filled[extent.label, extent.ci_url]
            found.update((*facts, scales.get(test, rows.FULL)) for test in self._source.tests(extent))
        for told in self._tpch.values():
            found.update((*filled[extent.label, extent.ci_url], rows.tpch(row).scale) for extent, row in told.rows)
        return found

    def _row(self, extent: Extent, table: str, row: Row) -> None:
        done = self._done
        done.rows += 1
        name, path = text(row[1]), text(row[3])
        if name is None:
            done.skipped["rows without the name of a test"] += 1
            return
        test = (path, name)
        if path is None:
            done.mended[f"tests without a path: put under {rows.NO_PATH}"] += 1
            path = rows.NO_PATH
        identity = (table, extent.session or "", path, name)
        uuid, start = rows.run_uuid(identity, row)
        if uuid in self._seen:
            done.duplicates += 1
            return
        self._seen.add(uuid)
        told: Tpch | None = None
        if test in self._tpch:
            if table == "test_run":
                other, told = self._tpch[test].take()
                row = row if other is None else rows.filled(row, other)
            else:
                told = rows.tpch(row)
        session = self._session(extent, rows.FULL if told is None else told.scale)
        benchmark = self._store.benchmark(path, name, text(row[2]), None if told is None else told.query)
        self._repeats[benchmark] += 1
        spec_id, spec = self._store.spec(told)
        cluster = rows.cluster(row, self._mended)
        if spec_id is not None and cluster is None:
            cluster = (None, None, None, None)
        self._pending.append(
            NewRun(
                measured=rows.measured(row, uuid, start, self._mended),
                repeat=self._repeats[benchmark] - 1,
                session=session,
                benchmark=benchmark,
                environment=self._store.environment(rows.environment_facts(row), () if told is None else told.engines),
                cluster=None if cluster is None else (spec_id, *cluster),
                spec=spec,
            )
        )

    def _session(self, extent: Extent, scale: str) -> SessionRow:
        facts = (extent.label, extent.ci_url, scale)
        if facts not in self._open:
            label, ci_url = _filled(self._extents)[extent.label, extent.ci_url]
            whole = (label, ci_url, scale)
            same = next((row for row in self._open.values() if row.id == self._ids[whole]), None)
            self._open[facts] = same or self._store.session(self._ids[whole], label=label, scale=scale, ci_url=ci_url)
        return self._open[facts]

    def _write(self) -> None:
        runs, self._pending = self._pending, []
        # nothing refers to a session that was not there: only of the others the database may have runs
        known = self._store.known([each.measured.uuid for each in runs if not each.session.fresh])
        new = [each for each in runs if each.measured.uuid not in known] if known else runs
        for each in new:
            each.session.saw(each.measured, each.environment)
        self._store.write(new)
        self._done.new += len(new)
        self._done.known += len(known)


def _filled(extents: Sequence[Extent]) -> dict[tuple[str | None, str | None], tuple[str | None, str | None]]:
    """Label and CI run of each extent; where a row lacks one, the session's other rows tell it."""
    label = min((each.label for each in extents if each.label is not None), default=None)
    ci_url = min((each.ci_url for each in extents if each.ci_url is not None), default=None)
    return {
        (each.label, each.ci_url): (
            label if each.label is None else each.label,
            ci_url if each.ci_url is None else each.ci_url,
        )
        for each in extents
    }


def _session_ids(extents: Sequence[Extent], facts: set[Facts]) -> dict[Facts, str]:
    """The id of the session for each combination of facts: its own for the first, which is nearly always the only one."""
    session = extents[0].session
    ordered = sorted(facts, key=lambda each: (each[2] != rows.FULL, each[2], each[0] or "", each[1] or ""))
    ids: dict[Facts, str] = {}
    for place, each in enumerate(ordered):
        name = record.content_id(list(each))[:8]
        ids[each] = f"unknown-{name}" if session is None else session if place == 0 else f"{session}-{name}"
    return ids
