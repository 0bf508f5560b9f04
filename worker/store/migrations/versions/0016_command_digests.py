"""The digest of the first body of a command id.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("inbox", sa.Column("digest", sa.String(32)))


def downgrade() -> None:
    op.drop_column("inbox", "digest")
