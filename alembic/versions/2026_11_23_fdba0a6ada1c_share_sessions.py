"""share sessions

Revision ID: fdba0a6ada1c
Revises: a7c9a77d8d2b
Create Date: 2026-11-23 07:28:43.116549
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

revision: str = 'fdba0a6ada1c'
down_revision: str | tuple[str, ...] | None = 'a7c9a77d8d2b'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.create_table('applied_segment',
    sa.Column('key', sa.Text(), nullable=False, comment='of the object in a remote'),
    sa.Column('session', sa.Text(), nullable=False, comment='id of the session'),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_applied_segment'))
    )
    op.create_table('pushed_segment',
    sa.Column('remote', sa.Text(), nullable=False, comment='as its users name it, without credentials'),
    sa.Column('session', sa.Text(), nullable=False, comment='id of the session'),
    sa.Column('key', sa.Text(), nullable=False, comment='of the object in the remote'),
    sa.PrimaryKeyConstraint('remote', 'session', name=op.f('pk_pushed_segment'))
    )
    op.create_table('remote_catalog',
    sa.Column('remote', sa.Text(), nullable=False),
    sa.Column('etag', sa.Text(), nullable=False),
    sa.Column('through', sa.Date(), nullable=False, comment='the last day (UTC) that it tells of'),
    sa.PrimaryKeyConstraint('remote', name=op.f('pk_remote_catalog'))
    )
    with op.batch_alter_table('benchmark', schema=None) as batch_op:
        batch_op.add_column(sa.Column('formerly', sa.JSON(none_as_null=True), nullable=True, comment='array of the ids that it had before'))


def downgrade() -> None:
    raise NotImplementedError("crt's schema has no way back: restore a copy of the database")
