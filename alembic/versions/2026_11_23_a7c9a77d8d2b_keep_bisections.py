"""keep bisections

Revision ID: a7c9a77d8d2b
Revises: 8f757665a50a
Create Date: 2026-11-23 02:17:44.940624
"""
# The rules of every migration:
#
# - It changes the schema, not the history: no UPDATE or DELETE of measured rows, no reading across rows to decide.
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

revision: str = 'a7c9a77d8d2b'
down_revision: str | tuple[str, ...] | None = '8f757665a50a'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table('bisection',
    sa.Column('key', sa.Integer(), nullable=False, comment='number of the row in this database alone'),
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('started', sa.DateTime(timezone=True), nullable=False, comment='UTC'),
    sa.Column('ended', sa.DateTime(timezone=True), nullable=True, comment='UTC'),
    sa.Column('status', sa.Text(), nullable=False, comment='running, found, no-change, inconclusive, interrupted'),
    sa.Column('repository', sa.Text(), nullable=True),
    sa.Column('benchmark', sa.Text(), nullable=True, comment='id of the benchmark; NULL: a command was measured'),
    sa.Column('metric', sa.Text(), nullable=False),
    sa.Column('document', sa.JSON(none_as_null=True), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_bisection')),
    sa.UniqueConstraint('id', name=op.f('uq_bisection_id'))
    )


def downgrade() -> None:
    raise NotImplementedError("crt's schema has no way back: restore a copy of the database")
