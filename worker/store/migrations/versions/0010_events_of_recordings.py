"""Where the events of a recording are, which URL of a file was published, and a command's app.

Revision ID: 0010
Revises: 0008

Events that are kept are found in parts of the outbox, so that no statement takes long.
"""

from collections.abc import Iterator
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"

PART: Final = 20_000

outbox = sa.table("outbox", *(sa.column(name) for name in ("position", "subject", "exchange")))
recordings = sa.table(
    "recordings", sa.column("recording_id", sa.Text), sa.column("event_positions", sa.Text)
)


def upgrade() -> None:
    op.add_column("recordings", sa.Column("event_positions", sa.Text))
    op.add_column("files", sa.Column("url_hash", sa.String(64)))
    op.add_column("files", sa.Column("url_expires_at", sa.Double))
    op.add_column("inbox", sa.Column("app", sa.String(64)))
    op.create_table(
        "replays",
        sa.Column("barrier", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("next_position", sa.BigInteger(), nullable=False),
    )
    for part in _parts():
        _add_positions(part)


def _parts() -> Iterator[list[tuple[str, int]]]:
    after = 0
    while True:
        rows = (
            op.get_bind()
            .execute(
                sa.select(outbox.c.position, outbox.c.subject, outbox.c.exchange)
                .where(outbox.c.position > after)
                .order_by(outbox.c.position)
                .limit(PART)
            )
            .all()
        )
        if not rows:
            return
        yield [
            (subject, position)
            for position, subject, exchange in rows
            if exchange in {"status", "files"}
        ]
        after = rows[-1][0]


def _add_positions(part: list[tuple[str, int]]) -> None:
    positions: dict[str, list[str]] = {}
    for subject, position in part:
        positions.setdefault(subject, []).append(str(position))
    known = sa.func.coalesce(recordings.c.event_positions + " ", "")
    at_id: sa.BindParameter[str] = sa.bindparam("at_id")
    # Both halves by name: SQLite has an index of the open recordings and one of the others.
    is_open = sa.text("open = 1" if op.get_bind().dialect.name == "sqlite" else "open")
    is_closed = sa.text("open = 0" if op.get_bind().dialect.name == "sqlite" else "NOT open")
    for half in (is_open, is_closed):
        change = (
            sa.update(recordings)
            .where(half, recordings.c.recording_id == at_id)
            .values(event_positions=known + sa.bindparam("positions", type_=sa.Text))
        )
        values = [
            {"at_id": subject, "positions": " ".join(found)} for subject, found in positions.items()
        ]
        if values:
            op.get_bind().execute(change, values)


def downgrade() -> None:
    op.drop_table("replays")
    op.drop_column("inbox", "app")
    op.drop_column("files", "url_expires_at")
    op.drop_column("files", "url_hash")
    op.drop_column("recordings", "event_positions")
