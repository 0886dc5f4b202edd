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
StoredFacts = tuple[str | None, str | None, str | None]


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
        self._seen: dict[str, int] = {}  # hashes of rows by the UUIDs that they gave
        self._repeats: Counter[int] = Counter()
        self._open: dict[Facts, SessionRow] = {}
        self._pending: list[NewRun] = []
        self._tpch: dict[tuple[str | None, str | None], _TpchRows] = {}

    def portions(self) -> Iterator[int]:
        """Do it portion by portion; after each the rows that are done so far, in all sessions."""
        self._done.sessions += 1
        for extent in self._extents:
            self._sort_tpch(extent)
        self._assign_ids()
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
                if rows.measures_nothing(row):
                    self._done.rows += 1
                    self._done.skipped["rows of tpch_run that measured nothing and belong to no row of test_run"] += 1
                else:
                    self._row(extent, "tpch_run", row)
        self._write()
        for session in self._open.values():
            self._store.close(session)
        yield self._done.rows

    def _sort_tpch(self, extent: Extent) -> None:
        for batch in self._source.rows(extent, "tpch_run"):
            for row in batch:
                told = self._tpch.setdefault((text(row[3]), text(row[1])), _TpchRows())
                if any(row == other for _, other in told.rows):
                    self._done.rows += 1
                    self._done.duplicates += 1
                else:
                    told.rows.append((extent, row))

    def _assign_ids(self) -> None:
        """Name crt's sessions: one for each combination of facts, and nearly always there is one."""
        session = self._extents[0].session
        facts = self._all_facts()
        stored = None if session is None else self._store.facts(session)
        self._ids = _session_ids(session, facts, stored)
        # runs are only known where their session, by its own id, is
        self._fresh = session is not None and stored is None
        if self._fresh and len(facts) > 1:
            # it has to be there, even if all of its rows should be skipped
            self._open[facts[0]] = self._stored_session(facts[0])

    def _all_facts(self) -> list[Facts]:
        """The combinations by the first row that has them: a file that has grown since tells them in the same order."""
        filled = _filled(self._extents)
        if not self._tpch:
            return list(dict.fromkeys((*filled[each.label, each.ci_url], rows.FULL) for each in self._extents))
        scales = {key: rows.tpch(told.rows[-1][1]).scale for key, told in self._tpch.items()}
        found: dict[Facts, None] = {}
        for extent in self._extents:
            facts = filled[extent.label, extent.ci_url]
            found.update(dict.fromkeys((*facts, scales.get(test, rows.FULL)) for test in self._source.tests(extent)))
        for told in self._tpch.values():
            for extent, row in told.rows:
                label, ci_url = filled[extent.label, extent.ci_url]
                found[label, ci_url, rows.tpch(row).scale] = None
        return list(found)

    def _row(self, extent: Extent, table: str, row: Row) -> None:
        done = self._done
        done.rows += 1
        name, path = text(row[1]), text(row[3])
        assert name is not None  # others are not among those that were asked for
        test = (path, name)
        if path is None:
            done.mended[f"tests without a path: put under {rows.NO_PATH}"] += 1
            path = rows.NO_PATH
        identity = (table, extent.session or "", path, name)
        uuid, start = rows.run_uuid(identity, row)
        if uuid in self._seen:
            if self._seen[uuid] == hash(row):
                done.duplicates += 1
            else:
                done.skipped["rows that tell something else of a run than the first row about it"] += 1
            return
        self._seen[uuid] = hash(row)
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
            whole = (*_filled(self._extents)[extent.label, extent.ci_url], scale)
            same = next((row for row in self._open.values() if row.id == self._id(whole)), None)
            self._open[facts] = same or self._stored_session(whole)
        return self._open[facts]

    def _stored_session(self, facts: Facts) -> SessionRow:
        label, ci_url, scale = facts
        return self._store.session(self._id(facts), label=label, scale=scale, ci_url=ci_url)

    def _id(self, facts: Facts) -> str:
        # two rows of tpch_run about one test may differ in their scale: what a row of test_run takes from them is seen late
        session = self._extents[0].session
        return self._ids.get(facts) or (_unknown_id(facts) if session is None else _further_id(session, facts))

    def _write(self) -> None:
        runs, self._pending = self._pending, []
        known = set() if self._fresh else self._store.known([each.measured.uuid for each in runs])
        new = [each for each in runs if each.measured.uuid not in known] if known else runs
        for each in new:
            each.session.saw(each.measured, each.environment)
        self._store.write(new)
        self._done.new += len(new)
        self._done.known += len(known)


def _filled(extents: Sequence[Extent]) -> dict[tuple[str | None, str | None], tuple[str | None, str | None]]:
    """Label and CI run of each extent; where a row lacks one, the session's first row that has it tells it."""
    known = [each for each in extents if each.session is not None]
    label = next((each.label for each in known if each.label is not None), None)
    ci_url = next((each.ci_url for each in known if each.ci_url is not None), None)
    return {
        (each.label, each.ci_url): (
            label if each.label is None else each.label,
            ci_url if each.ci_url is None else each.ci_url,
        )
        for each in extents
    }


def _session_ids(session: str | None, facts: Sequence[Facts], stored: StoredFacts | None) -> dict[Facts, str]:
    """The id of crt's session for each combination of facts.

    The predecessor's own id goes to the one that has it already (``stored``), else to the first; the others get one of theirs.
    """
    ids: dict[Facts, str] = {}
    for each in facts:
        if session is None:
            ids[each] = _unknown_id(each)
        elif session not in ids.values() and _fit(each, stored):
            ids[each] = session
        else:
            ids[each] = _further_id(session, each)
    return ids


def _unknown_id(facts: Facts) -> str:
    return f"unknown-{record.content_id(list(facts))[:8]}"


def _further_id(session: str, facts: Facts) -> str:
    return f"{session}-{record.content_id(list(facts))[:8]}"


def _fit(facts: Facts, stored: StoredFacts | None) -> bool:
    return stored is None or all(old in {None, new} for old, new in zip(stored, facts, strict=True))
