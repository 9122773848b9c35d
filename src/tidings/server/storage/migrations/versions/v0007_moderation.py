"""Reports to administrators, OpenID tokens."""

from alembic import op

from tidings.server.storage.migrations.columns import big, blob, key, text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = ("reports", "openid_tokens")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "reports",
        big("report_id"), text("reporter"), text("room_id", null=True), text("event_id", null=True),
        text("user_id", null=True), text("reason"), big("created_ts"), key("report_id"),
    )  # fmt: skip
    op.create_table(
        "openid_tokens", blob("token_hash"), text("user_id"), big("expires_ts"), key("token_hash")
    )
    op.create_index("openid_tokens_expires", "openid_tokens", ["expires_ts"])


def downgrade() -> None:
    """Remove them."""
    for table in reversed(TABLES):
        op.drop_table(table)
