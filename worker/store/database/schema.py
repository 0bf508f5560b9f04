"""The tables of this version, in SQLAlchemy Core. A test compares them with the migrated ones.

Times are seconds since the epoch, by the clock of everybody who shares the database. Bodies and
states are JSON.
"""

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData()

# The inbox has one row for each command that was ever claimed, until it is pruned. Its states:
#
#             claim              finish            prune_commands
#    no row ─────────▶ running ──────────▶ done ──────────────────▶ no row
#                      │     ▲              ▲
#              release │     │ claim        │ finish by an earlier owner,
#                      ▼     │              │ which lost the command but ends it
#                      waiting ─────────────┘
#
#    running   A replica executes the command. `lease_owner` has it until `lease_until`. Another
#              replica may claim it after that, and the same owner at any time: it stays running.
#    waiting   An attempt is over, the command is not. A later delivery claims it again: one from a
#              retry queue, or one that is parked in `parked_commands`.
#    done      The command has its final `outcome`. A claim publishes that outcome once more.
#
# `digest` says which body has the id: that of the first claim. A message with the same id and
# another body changes nothing while the row is running or waiting, and waits too. Past the
# command's age (`age_from`, no lease), it ends the command as failed: the first message is lost.
# A command that cannot be attempted yet, because the API is unavailable or another start has its
# slot, has a row that only reserves the id: `waiting`, with no attempts, and not cancelled. Its own
# claim continues as if there were no row.
#
# In addition to the state, the row of a start has the known facts about its calls to the API:
#
#    called_at null   It never called. It may call.
#    called_at set    A call may have been executed. The start looks for its recording first. It may
#                     call again when `reconcile_seconds` have passed since `last_called_at`.
#    holds set        No other start gets its slot. This ends when the start is done, when it is
#                     released and certainly was not executed, or when it is past its age.
#    cancelled_by set A stop cancelled it. It sends no more calls. If a call may have been executed,
#                     it still looks for its recording.
#
# A stop by `start_id` that knows no such command adds a placeholder for it: `waiting`, with no
# attempts, and already cancelled. A start that comes later claims this row and ends. The app of the
# placeholder is the stop's; null: any app. A start of another app, and a command of another type,
# is claimed as if there were no row.
inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("command_id", sa.String(128), primary_key=True),
    sa.Column("command_type", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    # How many attempts in a row ran alone and ended with their process.
    sa.Column("crashes", sa.Integer, nullable=False),
    # Whether the last attempt runs alone, without other crash suspects.
    sa.Column("alone", sa.Boolean, nullable=False),
    sa.Column("first_seen_at", sa.Double, nullable=False),
    # The slot of a start: app, meeting and kind.
    sa.Column("slot", sa.String(512)),
    # The same as `slot` while other starts may not have it, else null.
    sa.Column("holds", sa.String(512)),
    # The first and the last moment at which the start may have called the API.
    sa.Column("called_at", sa.Double),
    sa.Column("last_called_at", sa.Double),
    sa.Column("lease_owner", sa.String(64)),
    sa.Column("lease_until", sa.Double),
    sa.Column("last_error", sa.Text),
    sa.Column("outcome", sa.Text),
    sa.Column("finished_at", sa.Double),
    # JSON, for a postponed start: the address for its outcome, and its metadata. A stop may end the
    # start before the start is delivered again.
    sa.Column("reply", sa.Text),
    # JSON list of recording ids. Of a command that is not done: the recordings that its earlier
    # attempts acted on. Of a start that is done: the surplus recordings that it led to.
    sa.Column("acted_on", sa.Text),
    sa.Column("cancelled_by", sa.String(128)),
    # For a stop by meeting: the slot that it stops, without the kind if it stops both kinds.
    sa.Column("stops_slot", sa.String(512)),
    # Since when the command has been parked, in total, and when it was last claimed after that. The
    # second is null while it is parked.
    sa.Column("waits_since", sa.Double),
    sa.Column("woken_at", sa.Double),
    # The app that the command is for; null if it names none that is configured, and in rows that
    # older versions wrote.
    sa.Column("app", sa.String(64)),
    # JSON, for a start that names custom ids: the participants that its call asks for. They are
    # written before the call, and kept while it may have been executed.
    sa.Column("people", sa.Text),
    # The digest of the body that has the id (`domain/command_digest.py`). Null in a placeholder of
    # a stop, and in rows that older versions wrote: then the next claim writes it.
    sa.Column("digest", sa.String(32)),
    # JSON list of recording ids, for a running stop, pause or resume by meeting: those that its
    # attempt is about to act on. They are written before the first call. A later claim moves them
    # to `acted_on`, because the attempt has died and its calls may have been executed.
    sa.Column("stopping", sa.Text),
    sa.CheckConstraint("state IN ('running', 'waiting', 'done')", name="inbox_state"),
    sa.CheckConstraint("(state = 'done') = (outcome IS NOT NULL)", name="inbox_outcome"),
)
sa.Index("inbox_holds", inbox.c.holds, unique=True)
# Literals, not parameters: a partial index serves only conditions that contain its values, and a
# planner does not know the value of a parameter.
FINISHED = sa.text("inbox.state = 'done'")
UNFINISHED = sa.text("inbox.state <> 'done'")
sa.Index(
    "inbox_done",
    inbox.c.finished_at,
    sqlite_where=FINISHED,
    postgresql_where=FINISHED,
)
sa.Index(
    "inbox_unfinished_slot",
    inbox.c.slot,
    sqlite_where=UNFINISHED,
    postgresql_where=UNFINISHED,
)

STOPS = sa.text("inbox.stops_slot IS NOT NULL")
sa.Index("inbox_stops", inbox.c.stops_slot, sqlite_where=STOPS, postgresql_where=STOPS)
NEVER_SEEN = sa.text("inbox.attempts = 0")
sa.Index(
    "inbox_never_seen",
    inbox.c.first_seen_at,
    sqlite_where=NEVER_SEEN,
    postgresql_where=NEVER_SEEN,
)

recordings = sa.Table(
    "recordings",
    metadata,
    sa.Column("recording_id", sa.String(128), nullable=False),
    sa.Column("app", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("meeting_id", sa.String(128)),
    sa.Column("start_id", sa.String(128)),
    sa.Column("version", sa.Integer, nullable=False),
    # Whether the worker follows it: it has not ended, or its files are not complete yet.
    sa.Column("open", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("changed_at", sa.Double, nullable=False),
    # When it was first observed; null in rows that older versions wrote.
    sa.Column("first_seen_at", sa.Double),
    # When the last webhook about it arrived. The column has an older name.
    sa.Column("told_at", sa.Double, key="webhook_at"),
    # When it must be read; null: no read is scheduled.
    sa.Column("read_at", sa.Double),
    # The positions of its events in the outbox. See worker/store/event_positions.py.
    sa.Column("event_positions", sa.Text),
    # When the worker next tries to stop it, because its start limits its duration; null: never.
    sa.Column("stop_at", sa.Double),
    sa.PrimaryKeyConstraint("recording_id").ddl_if(dialect="postgresql"),
    sa.CheckConstraint("kind IN ('track', 'composite')", name="recordings_kind"),
    sa.CheckConstraint(
        "status IN ('INVOKED', 'RECORDING', 'PAUSED', 'UPLOADING', 'UPLOADED', 'ERRORED')",
        name="recordings_status",
    ),
)


def index_by_id(column: sa.Column[Any], *, unique: bool) -> None:
    """Indexes a column of ids. In a long history, each id is on another page.

    PostgreSQL logs what changes on that page, SQLite writes the whole page twice. On SQLite, open
    recordings therefore have a separate small index, and a recording enters the index of the
    others only when it is closed (docs/adr/0020). The one process that writes ensures that the two
    indexes have no id in common.
    """
    name = column.name
    if not column.primary_key:
        sa.Index(f"recordings_{name}", column, unique=unique).ddl_if(dialect="postgresql")
    for half, number in (("open", 1), ("closed", 0)):
        where = sa.text(f"open = {number}")
        index = sa.Index(f"recordings_{half}_{name}", column, unique=unique, sqlite_where=where)
        index.ddl_if(dialect="sqlite")


index_by_id(recordings.c.recording_id, unique=True)
index_by_id(recordings.c.start_id, unique=True)
index_by_id(recordings.c.meeting_id, unique=False)
sa.Index(
    "recordings_open",
    recordings.c.app,
    recordings.c.status,
    sqlite_where=sa.text("open = 1"),  # as in the queries: `open` alone is another condition
    postgresql_where=recordings.c.open,
)
# Closed recordings: written when a recording is closed, not when it starts or changes.
sa.Index(
    "recordings_closed",
    recordings.c.app,
    recordings.c.status,
    recordings.c.changed_at,
    sqlite_where=sa.text("open = 0"),
    postgresql_where=sa.not_(recordings.c.open),
)
sa.Index(
    "recordings_due",
    recordings.c.app,
    recordings.c.read_at,
    sqlite_where=recordings.c.read_at.is_not(None),
    postgresql_where=recordings.c.read_at.is_not(None),
)
sa.Index(
    "recordings_to_stop",
    recordings.c.app,
    recordings.c.stop_at,
    sqlite_where=recordings.c.stop_at.is_not(None),
    postgresql_where=recordings.c.stop_at.is_not(None),
)
sa.Index("recordings_changed", recordings.c.changed_at)
sa.Index("recordings_status", recordings.c.status, recordings.c.changed_at)

# Recordings that a command acted on while an unfinished start may have begun them, with what it
# observed. They are adopted when that start has ended. See worker/store/deferred_recordings.py.
deferred = sa.Table(
    "deferred_recordings",
    metadata,
    sa.Column("recording_id", sa.String(128), primary_key=True),
    sa.Column("app", sa.String(64), nullable=False),
    sa.Column("deferred_at", sa.Double, nullable=False),
    # JSON list of observations, in order.
    sa.Column("observations", sa.Text, nullable=False),
)

files = sa.Table(
    "files",
    metadata,
    sa.Column("recording_id", sa.String(128), primary_key=True),
    sa.Column("file_index", sa.Integer, primary_key=True),
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text),
    sa.Column("found_at", sa.Double, nullable=False),
    # The last published URL, as a hash because the URL permits the download, and when it expires.
    # Null if there was none, and in rows that older versions wrote.
    sa.Column("url_hash", sa.String(64)),
    sa.Column("url_expires_at", sa.Double),
)
# New files expire last, so they are added at the end of the index.
HAS_URL = sa.text("files.url_expires_at IS NOT NULL")
sa.Index("files_url_expiry", files.c.url_expires_at, sqlite_where=HAS_URL, postgresql_where=HAS_URL)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column(
        "position",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("event_type", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(128), nullable=False),
    sa.Column("exchange", sa.String(16), nullable=False),
    sa.Column("routing_key", sa.String(255), nullable=False),
    sa.Column("correlation_id", sa.Text),
    sa.Column("headers", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("sent_at", sa.Double),
    # 0: publish it. Above 0: the broker did not accept it, try again at that time. Below 0: it is
    # set aside, and an operator decides.
    sa.Column("retry_at", sa.Double, nullable=False, server_default="0"),
    # How often the broker did not accept it; how often the channel was lost because of it.
    sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("losses", sa.Integer, nullable=False, server_default="0"),
    sa.Column("last_error", sa.Text),
    sa.CheckConstraint(
        "exchange IN ('status', 'files', 'results', 'reply')", name="outbox_exchange"
    ),
    sqlite_autoincrement=True,
)
sa.Index(
    "outbox_unsent",
    outbox.c.position,
    sqlite_where=outbox.c.sent_at.is_(None),
    postgresql_where=outbox.c.sent_at.is_(None),
)
# Events that the broker did not accept. An event that it accepts at once is never in this index.
HELD = sa.text("outbox.sent_at IS NULL AND outbox.retry_at <> 0")
sa.Index(
    "outbox_held",
    outbox.c.subject,
    outbox.c.position,
    sqlite_where=HELD,
    postgresql_where=HELD,
)
# Each row of the outbox leaves a dead row twice: when it is marked, and when it is removed.
_VACUUM_OFTEN = sa.DDL(  # type: ignore[no-untyped-call]
    "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.02,"
    " autovacuum_analyze_scale_factor = 0.02)"
)
sa.event.listen(outbox, "after_create", _VACUUM_OFTEN.execute_if(dialect="postgresql"))

# Commands that wait for something outside the queue. `waits_for` and `subject` name it: the live
# session of a meeting, or a start by its id. The row of the inbox is `waiting` meanwhile.
#
#           park             due_at passes        publish, delete
#    claim ──────▶ parked ──────────────────▶ due ────────────────▶ command queue ─▶ claim
#
# A row is due when its `due_at` has passed. What it waits for makes it due at once. `number` is 0
# for the delivery that is executed then, above 0 for repeats of its command that want a reply.
# Each parking gets a new `position`, so that a late delete never removes a later parking.
parked = sa.Table(
    "parked_commands",
    metadata,
    sa.Column(
        "position",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("command_id", sa.String(128), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("waits_for", sa.String(16), nullable=False),
    sa.Column("app", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(128), nullable=False),
    sa.Column("parked_at", sa.Double, nullable=False),
    sa.Column("due_at", sa.Double, nullable=False),
    # A list of live sessions that was requested earlier does not count. The column has an older
    # name.
    sa.Column("look_after", sa.Double, nullable=False, key="ignore_lists_until"),
    # The message. Null if it has secrets: then its deliveries stay in the retry queues.
    sa.Column("body", sa.LargeBinary),
    # JSON: the properties, routing key and headers of the message.
    sa.Column("message", sa.Text),
    sa.CheckConstraint("waits_for IN ('session', 'start')", name="parked_commands_waits_for"),
    sqlite_autoincrement=True,
)
sa.Index("parked_commands_id", parked.c.command_id, parked.c.number, unique=True)
sa.Index("parked_commands_subject", parked.c.waits_for, parked.c.app, parked.c.subject)
sa.Index("parked_commands_due", parked.c.due_at)

# Replays with too many events for one page. `barrier` is the position of the last event,
# `next_position` where the page begins that is being published. See worker/store/replay_pages.py.
replays = sa.Table(
    "replays",
    metadata,
    sa.Column("barrier", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("subject", sa.String(128), nullable=False),
    sa.Column("next_position", sa.BigInteger, nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("owner", sa.String(64), nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)

# The replicas that hold a lock in their own session at PostgreSQL. If such a replica's lock is
# free, the replica has ended. See worker/store/replicas.py.
replica_sessions = sa.Table(
    "replica_sessions",
    metadata,
    sa.Column("owner", sa.String(64), primary_key=True),
)

# The tokens spent of each API budget. See worker/store/budgets.py.
budgets = sa.Table(
    "budgets",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
)

# Cursors (worker/store/cursors.py), the clock of pruning (prune_clock.py), and which app has a name
# (app_identities.py).
named_times = sa.Table(
    "marks",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
)
