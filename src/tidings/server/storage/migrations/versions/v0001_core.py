"""The counter, rooms and their events, members, receipts, account data, typing, presence."""

import sqlalchemy as sa
from alembic import op

from tidings.server.storage.migrations.columns import ROWID, big, blob, key, text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "stream", "server_keys", "rooms", "events", "state", "members", "aliases", "receipts",
    "read_marks", "notices", "account_data", "typing", "presence", "filters",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables every room needs."""
    op.create_table("stream", sa.Column("id", sa.Integer(), primary_key=True), big("position"))
    op.execute("INSERT INTO stream (id, position) VALUES (1, 0)")
    op.create_table(
        "server_keys", text("key_id"), blob("private_key"), big("created_ts"), key("key_id")
    )
    _rooms()
    _people()


def _rooms() -> None:
    op.create_table(
        "rooms",
        text("room_id"), text("version"), text("creator"), big("created_ts"),
        big("published", default=0), key("room_id"),
    )  # fmt: skip
    op.create_table(
        "events",
        sa.Column("position", ROWID, primary_key=True),
        text("event_id"), text("room_id"), big("depth"), text("type"), text("state_key", null=True),
        text("sender"), big("origin_server_ts"), blob("json"), blob("pdu"),
        big("replaces", null=True), text("relates_to", null=True), text("rel_type", null=True),
        text("thread_id", null=True), text("redacted_by", null=True),
        big("loud"), big("is_loud"), text("device_id", null=True), text("txn_id", null=True),
    )  # fmt: skip
    op.create_index("events_id", "events", ["event_id"], unique=True)
    op.create_index("events_room", "events", ["room_id", "position"])
    for name, columns, condition, unique in (
        ("events_state", ["room_id", "type", "state_key", "position"], "state_key IS NOT NULL", 0),
        ("events_state_order", ["room_id", "position"], "state_key IS NOT NULL", 0),
        ("events_relation", ["relates_to", "rel_type", "position"], "relates_to IS NOT NULL", 0),
        ("events_thread", ["room_id", "position"], "thread_id IS NOT NULL", 0),
        ("events_redacted", ["room_id", "position"], "redacted_by IS NOT NULL", 0),
        (
            "events_txn",
            ["room_id", "sender", "device_id", "txn_id", "type"],
            "txn_id IS NOT NULL",
            1,
        ),
    ):
        where = sa.text(condition)
        op.create_index(
            name, "events", columns, unique=bool(unique), sqlite_where=where, postgresql_where=where
        )
    op.create_table(
        "state",
        text("room_id"), text("type"), text("state_key"), big("position"),
        key("room_id", "type", "state_key"),
    )  # fmt: skip
    op.create_table(
        "members",
        text("user_id"), text("room_id"), text("membership"), big("position"), big("entered"),
        big("forgotten", default=0), key("user_id", "room_id"),
    )  # fmt: skip
    op.create_index("members_room", "members", ["room_id", "membership"])
    op.create_table(
        "aliases",
        text("alias"), text("room_id"), text("creator"), big("created_ts"), key("alias"),
    )  # fmt: skip
    op.create_index("aliases_room", "aliases", ["room_id"])


def _people() -> None:
    op.create_table(
        "receipts",
        text("room_id"), text("user_id"), text("receipt_type"), text("thread_id"),
        text("event_id"), big("event_position"), big("loud"), big("ts"), big("position"),
        key("room_id", "user_id", "receipt_type", "thread_id"),
    )  # fmt: skip
    op.create_index("receipts_position", "receipts", ["position"])
    op.create_table(
        "read_marks",
        text("user_id"), text("room_id"), text("thread_id"), big("position"), big("loud"),
        key("user_id", "room_id", "thread_id"),
    )  # fmt: skip
    op.create_table(
        "notices",
        text("user_id"), text("room_id"), big("position"), text("thread_id"),
        big("notify"), big("highlight"), key("user_id", "room_id", "position"),
    )  # fmt: skip
    op.create_index("notices_position", "notices", ["position"])
    op.create_table(
        "account_data",
        text("user_id"), text("room_id"), text("type"), blob("content"), big("position"),
        key("user_id", "room_id", "type"),
    )  # fmt: skip
    op.create_index("account_data_position", "account_data", ["position"])
    op.create_table(
        "typing",
        text("room_id"), text("user_id"), big("until_ts"), big("position"),
        key("room_id", "user_id"),
    )  # fmt: skip
    op.create_index("typing_position", "typing", ["position"])
    op.create_table(
        "presence",
        text("user_id"), text("presence"), text("status_msg", null=True), big("last_active_ts"),
        big("position"), key("user_id"),
    )  # fmt: skip
    op.create_index("presence_position", "presence", ["position"])
    op.create_table("filters", text("user_id"), text("filter_id"), blob("json"),
                    key("user_id", "filter_id"))  # fmt: skip


def downgrade() -> None:
    """Remove everything."""
    for table in reversed(TABLES):
        op.drop_table(table)
