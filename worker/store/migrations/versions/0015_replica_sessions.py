"""The replicas that hold a lock in a separate session at PostgreSQL.

Revision ID: 0015
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"


def upgrade() -> None:
    op.create_table("replica_sessions", sa.Column("owner", sa.String(64), primary_key=True))


def downgrade() -> None:
    op.drop_table("replica_sessions")
