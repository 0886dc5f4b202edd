"""decide suspects

Revision ID: 81d5394b5330
Revises: aa4787a28a6d
Create Date: 2026-11-23 10:50:20.001946
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

revision: str = '81d5394b5330'
down_revision: str | tuple[str, ...] | None = 'aa4787a28a6d'
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column('finding', sa.Column('checked', sa.DateTime(timezone=True), nullable=True, comment='when fresh runs were made to decide it (UTC)'))
    op.add_column('finding', sa.Column('verdict', sa.Text(), nullable=True, comment='what they said: confirmed or noise'))
    op.add_column('finding', sa.Column('measured', sa.Float(precision=53), nullable=True, comment='the ratio that they gave'))
    op.add_column('finding', sa.Column('measured_low', sa.Float(precision=53), nullable=True, comment='of its interval'))
    op.add_column('finding', sa.Column('measured_high', sa.Float(precision=53), nullable=True))
    if op.get_bind().dialect.name == 'postgresql':  # SQLite keeps no comments
        op.alter_column(
            'finding',
            'kind',
            comment='regression, improvement, variance, tail or bimodal',
            existing_comment='regression or improvement',
            existing_type=sa.Text(),
            existing_nullable=False,
        )


def downgrade() -> None:
    raise NotImplementedError("crt's schema has no way back: restore a copy of the database")
