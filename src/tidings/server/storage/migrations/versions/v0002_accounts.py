"""Accounts, devices, tokens."""

from alembic import op

from tidings.server.storage.migrations.columns import big, blob, key, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    "users", "devices", "access_tokens", "refresh_tokens", "login_tokens", "registration_tokens",
    "auth_sessions",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables of accounts and sessions."""
    op.create_table(
        "users",
        text("user_id"), text("password_hash", null=True), big("created_ts"),
        text("display_name", null=True), text("avatar_url", null=True),
        big("is_guest", default=0), big("is_admin", default=0), big("deactivated", default=0),
        big("locked", default=0), big("suspended", default=0), key("user_id"),
    )  # fmt: skip
    op.create_table(
        "devices",
        text("user_id"), text("device_id"), text("display_name", null=True), big("created_ts"),
        big("last_seen_ts", null=True), text("last_seen_ip", null=True), big("position"),
        key("user_id", "device_id"),
    )  # fmt: skip
    op.create_index("devices_position", "devices", ["position"])
    op.create_table(
        "access_tokens",
        blob("token_hash"), text("user_id"), text("device_id"), big("created_ts"),
        big("expires_ts", null=True), key("token_hash"),
    )  # fmt: skip
    op.create_index("access_tokens_device", "access_tokens", ["user_id", "device_id"])
    op.create_table(
        "refresh_tokens",
        blob("token_hash"), text("user_id"), text("device_id"), big("created_ts"),
        blob("replaced_by", null=True), key("token_hash"),
    )  # fmt: skip
    op.create_index("refresh_tokens_device", "refresh_tokens", ["user_id", "device_id"])
    op.create_table(
        "login_tokens", blob("token_hash"), text("user_id"), big("expires_ts"), key("token_hash")
    )
    op.create_table(
        "registration_tokens",
        text("token"), big("uses_allowed", null=True), big("completed", default=0),
        big("pending", default=0), big("expires_ts", null=True), key("token"),
    )  # fmt: skip
    op.create_table(
        "auth_sessions",
        text("session_id"), text("operation"), text("completed"), text("user_id", null=True),
        blob("request_hash", null=True), big("created_ts"), key("session_id"),
    )  # fmt: skip


def downgrade() -> None:
    """Remove the tables of accounts and sessions."""
    for table in reversed(TABLES):
        op.drop_table(table)
