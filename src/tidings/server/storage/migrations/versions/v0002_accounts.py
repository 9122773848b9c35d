"""Accounts, profiles, devices, tokens."""

from alembic import op

from tidings.server.storage.migrations.columns import big, blob, key, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    "users", "profile_fields", "devices", "session_changes", "access_tokens", "refresh_tokens",
    "login_tokens", "registration_tokens", "auth_sessions",
)  # fmt: skip


def upgrade() -> None:
    """Make the tables of accounts and sessions."""
    _accounts()
    _sessions()


def _accounts() -> None:
    op.create_table(
        "users",
        text("user_id"), text("password_hash", null=True), big("created_ts"),
        big("is_guest", default=0), big("is_admin", default=0), big("deactivated", default=0),
        big("locked", default=0), big("suspended", default=0), text("search_text"),
        key("user_id"),
    )  # fmt: skip
    op.create_table(
        "profile_fields",
        text("user_id"), text("field"), blob("value"), key("user_id", "field"),
    )  # fmt: skip
    op.create_table(
        "registration_tokens",
        text("token"), big("uses_allowed", null=True), big("completed", default=0),
        big("expires_ts", null=True), big("created_ts"), key("token"),
    )  # fmt: skip
    op.create_table(
        "auth_sessions",
        blob("session_hash"), text("operation"), text("user_id", null=True), blob("request_hash"),
        text("completed"), text("registration_token", null=True), big("created_ts"),
        key("session_hash"),
    )  # fmt: skip
    op.create_index("auth_sessions_created", "auth_sessions", ["created_ts"])


def _sessions() -> None:
    op.create_table(
        "devices",
        text("user_id"), text("device_id"), text("display_name", null=True), big("created_ts"),
        big("last_seen_ts", null=True), text("last_seen_ip", null=True),
        key("user_id", "device_id"),
    )  # fmt: skip
    op.create_table(
        "session_changes",
        text("user_id"), text("device_id"), big("position"), key("user_id", "device_id"),
    )  # fmt: skip
    op.create_index("session_changes_position", "session_changes", ["position"])
    op.create_table(
        "access_tokens",
        blob("token_hash"), text("user_id"), text("device_id"), big("created_ts"),
        big("expires_ts", null=True), blob("replaces", null=True), key("token_hash"),
    )  # fmt: skip
    op.create_index("access_tokens_device", "access_tokens", ["user_id", "device_id"])
    op.create_table(
        "refresh_tokens",
        blob("token_hash"), text("user_id"), text("device_id"), big("created_ts"),
        blob("replaces", null=True), key("token_hash"),
    )  # fmt: skip
    op.create_index("refresh_tokens_device", "refresh_tokens", ["user_id", "device_id"])
    op.create_table(
        "login_tokens", blob("token_hash"), text("user_id"), big("expires_ts"), key("token_hash")
    )
    op.create_index("login_tokens_expires", "login_tokens", ["expires_ts"])


def downgrade() -> None:
    """Remove the tables of accounts and sessions."""
    for table in reversed(TABLES):
        op.drop_table(table)
