"""Starts that a stop cancels, and the recordings on which a command has acted.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

COLUMNS: dict[str, sa.types.TypeEngine[str]] = {
    "reply": sa.Text(),
    "acted_on": sa.Text(),
    "cancelled_by": sa.String(128),
    "stops_slot": sa.String(512),
}
STOPS = sa.text("stops_slot IS NOT NULL")
NEVER_SEEN = sa.text("attempts = 0")


def upgrade() -> None:
    for name, type_ in COLUMNS.items():
        op.add_column("inbox", sa.Column(name, type_))
    op.create_index(
        "inbox_stops", "inbox", ["stops_slot"], sqlite_where=STOPS, postgresql_where=STOPS
    )
    op.create_index(
        "inbox_never_seen",
        "inbox",
        ["first_seen_at"],
        sqlite_where=NEVER_SEEN,
        postgresql_where=NEVER_SEEN,
    )


def downgrade() -> None:
    op.drop_index("inbox_stops", "inbox")
    op.drop_index("inbox_never_seen", "inbox")
    for name in COLUMNS:
        op.drop_column("inbox", name)
