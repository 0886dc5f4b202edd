"""keep findings

Revision ID: aa4787a28a6d
Revises: fdba0a6ada1c
Create Date: 2026-11-23 08:46:43.619540
"""
# The rules of every migration:
#
# - It changes the schema, not the history: no UPDATE or DELETE of measured rows, no reading across rows to decide.
#   It runs on whole databases, and on single sessions that were shared before it: both must come to the same.
#   A test that was renamed declares it with @pytest.mark.formerly, one that changed its meaning with @pytest.mark.epoch.
# - It runs in one transaction with all the others that are missing, on SQLite and on PostgreSQL: no COMMIT, nothing
#   CONCURRENTLY. A process that is killed in the middle leaves the old schema.
# - A million runs pass in seconds. A new column is NULL in old rows, or has a server default.
# - A table that the view test_run reads is changed between DROP VIEW test_run and CREATE VIEW with the new text, written
#   out here. The same text goes to coiled_runtime_cli/db/view.py; columns of the view are added, never taken away.
# - It does not import coiled_runtime_cli: that code will have changed when the migration runs.
# - Once it is on main it is never edited and never removed. There is no way back: downgrade() raises, and a mistake is
#   mended by the next migration.
# - One head: of two migrations with the same parent, the one that is merged later is first made to follow the other.
from __future__ import annotations

import sqlalchemy as sa

from alembic import op

revision: str = 'aa4787a28a6d'
down_revision: str | tuple[str, ...] | None = 'fdba0a6ada1c'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table('finding',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('benchmark', sa.Text(), nullable=False, comment='id; this and what follows up to host is the series'),
    sa.Column('epoch', sa.Integer(), nullable=False),
    sa.Column('label', sa.Text(), nullable=True),
    sa.Column('scale', sa.Text(), nullable=True),
    sa.Column('cluster', sa.Text(), nullable=True),
    sa.Column('python', sa.Text(), nullable=True),
    sa.Column('host', sa.Text(), nullable=True),
    sa.Column('metric', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False, comment='regression or improvement'),
    sa.Column('first_bad', sa.Text(), nullable=False, comment='UUID of the first run after the change'),
    sa.Column('since', sa.DateTime(timezone=True), nullable=False, comment='its start (UTC)'),
    sa.Column('before', sa.Float(precision=53), nullable=False, comment='in the unit of the metric'),
    sa.Column('after', sa.Float(precision=53), nullable=False),
    sa.Column('reported', sa.DateTime(timezone=True), nullable=False, comment='when it was reported first (UTC)'),
    sa.Column('accepted', sa.DateTime(timezone=True), nullable=True, comment='when a person accepted it (UTC)'),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_finding'))
    )


def downgrade() -> None:
    raise NotImplementedError("crt's schema has no way back: restore a copy of the database")
