"""Keys of devices and people, their signatures, messages to devices, backups of room keys."""

from alembic import op

from tidings.server.storage.migrations.columns import big, blob, key, text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "device_keys", "one_time_keys", "fallback_keys", "key_counts", "cross_signing_keys",
    "key_signatures", "device_list_changes", "to_device", "to_device_txns", "backups",
    "backup_keys", "dehydrated_devices",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables of end-to-end encryption."""
    _keys()
    _device_lists()
    _to_device()
    _backups()


def _keys() -> None:
    op.create_table(
        "device_keys",
        text("user_id"), text("device_id"), blob("keys"), key("user_id", "device_id"),
    )  # fmt: skip
    op.create_table(
        "one_time_keys",
        text("user_id"), text("device_id"), text("algorithm"), big("number"),
        text("key_id"), blob("key"), key("user_id", "device_id", "algorithm", "number"),
    )  # fmt: skip
    op.create_table(
        "fallback_keys",
        text("user_id"), text("device_id"), text("algorithm"), text("key_id"), blob("key"),
        big("used"), key("user_id", "device_id", "algorithm"),
    )  # fmt: skip
    op.create_table(
        "key_counts",
        text("user_id"), text("device_id"), blob("counts"), big("position"),
        key("user_id", "device_id"),
    )  # fmt: skip
    op.create_index("key_counts_position", "key_counts", ["position"])
    op.create_table(
        "cross_signing_keys",
        text("user_id"), text("usage"), text("public_key"), blob("key"), key("user_id", "usage"),
    )  # fmt: skip
    op.create_table(
        "key_signatures",
        text("user_id"), text("key_id"), text("signer"), text("signing_key_id"),
        text("signature"), key("user_id", "key_id", "signer", "signing_key_id"),
    )  # fmt: skip
    op.create_index("key_signatures_signer", "key_signatures", ["signer", "signing_key_id"])


def _device_lists() -> None:
    op.create_table(
        "device_list_changes",
        text("user_id"), text("seen_by"), big("position"), key("user_id", "seen_by"),
    )  # fmt: skip
    op.create_index("device_list_changes_position", "device_list_changes", ["position"])
    op.create_index("members_entered", "members", ["room_id", "entered"])


def _to_device() -> None:
    op.create_table(
        "to_device",
        text("user_id"), text("device_id"), big("position"), blob("message"),
        key("user_id", "device_id", "position"),
    )  # fmt: skip
    op.create_index("to_device_position", "to_device", ["position"])
    op.create_table(
        "to_device_txns",
        text("user_id"), text("device_id"), text("type"), text("txn_id"), big("created_ts"),
        key("user_id", "device_id", "type", "txn_id"),
    )  # fmt: skip
    op.create_index("to_device_txns_created", "to_device_txns", ["created_ts"])
    op.create_table(
        "dehydrated_devices",
        text("user_id"), text("device_id"), blob("data"), key("user_id"),
    )  # fmt: skip


def _backups() -> None:
    op.create_table(
        "backups",
        text("user_id"), big("version"), text("algorithm"), blob("auth_data"),
        big("count", default=0), big("etag", default=0), big("deleted", default=0),
        key("user_id", "version"),
    )  # fmt: skip
    op.create_table(
        "backup_keys",
        text("user_id"), big("version"), text("room_id"), text("session_id"),
        big("first_message_index"), big("forwarded_count"), big("is_verified"),
        blob("session_data"), key("user_id", "version", "room_id", "session_id"),
    )  # fmt: skip


def downgrade() -> None:
    """Remove the tables of end-to-end encryption."""
    op.drop_index("members_entered", "members")
    for table in reversed(TABLES):
        op.drop_table(table)
