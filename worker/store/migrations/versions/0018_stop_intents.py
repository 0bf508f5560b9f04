"""A command's row says which recordings it is about to stop.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("inbox", sa.Column("stopping", sa.Text))
