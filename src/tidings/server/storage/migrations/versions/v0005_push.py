"""Pushers, and what waits to be pushed to their gateways."""

import sqlalchemy as sa
from alembic import op

from tidings.server.storage.migrations.columns import big, blob, key, text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("pushers", "pusher_changes", "pushes", "push_checkpoint")


def upgrade() -> None:
    """Make the tables of push notifications."""
    op.create_table(
        "pushers",
        big("pusher_id"), text("user_id"), text("app_id"), text("pushkey"), text("kind"),
        text("app_display_name"), text("device_display_name"), text("profile_tag", null=True),
        text("lang"), blob("data"), big("set_ts"), text("device_id"), big("badge", default=0),
        key("pusher_id"),
    )  # fmt: skip
    op.create_index("pushers_user", "pushers", ["user_id", "app_id", "pushkey"], unique=True)
    op.create_index("pushers_key", "pushers", ["pushkey", "app_id"])
    op.create_table("pusher_changes", text("user_id"), big("position"), key("user_id"))
    op.create_index("pusher_changes_position", "pusher_changes", ["position"])
    op.create_table(
        "pushes",
        big("pusher_id"), big("position"), blob("tweaks", null=True), big("queued_ts"),
        key("pusher_id", "position"),
    )  # fmt: skip
    op.create_table("push_checkpoint", sa.Column("id", sa.Integer(), primary_key=True),
                    big("position"))  # fmt: skip


def downgrade() -> None:
    """Remove the tables of push notifications."""
    for table in reversed(TABLES):
        op.drop_table(table)
