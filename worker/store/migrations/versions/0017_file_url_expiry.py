"""Which download URL expires next.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    has_url = sa.text("url_expires_at IS NOT NULL")
    op.create_index(
        "files_url_expiry",
        "files",
        ["url_expires_at"],
        sqlite_where=has_url,
        postgresql_where=has_url,
    )


def downgrade() -> None:
    op.drop_index("files_url_expiry", "files")
