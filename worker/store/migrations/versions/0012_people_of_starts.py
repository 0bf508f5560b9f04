"""Whom a start by custom ids asks the API to record.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("inbox", sa.Column("people", sa.Text()))


def downgrade() -> None:
    op.drop_column("inbox", "people")
