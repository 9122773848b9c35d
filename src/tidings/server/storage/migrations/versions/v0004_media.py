"""Media: what was uploaded, the files behind it, thumbnails, previews, unfinished uploads."""

from alembic import op

from tidings.server.storage.migrations.columns import big, blob, key, text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLES = ("files", "media", "thumbnails", "url_previews", "resumable_uploads")


def upgrade() -> None:
    """Make the tables of media."""
    op.create_table("files", text("sha256"), text("name"), big("size_bytes"), key("sha256"))
    op.create_index("files_name", "files", ["name"])
    op.create_table(
        "media",
        text("media_id"), text("user_id"), text("sha256", null=True), big("size_bytes", default=0),
        text("content_type"), text("file_name"), big("created_ts"), big("expires_ts", null=True),
        big("used_ts"), big("is_preview", default=0), big("is_quarantined", default=0),
        key("media_id"),
    )  # fmt: skip
    op.create_index("media_user", "media", ["user_id", "created_ts"])
    op.create_index("media_file", "media", ["sha256"])
    op.create_index("media_expires", "media", ["expires_ts"])
    op.create_index("media_used", "media", ["used_ts"])
    op.create_table(
        "thumbnails",
        text("source"), text("shape"), text("sha256"), text("content_type"), big("size_bytes"),
        key("source", "shape"),
    )  # fmt: skip
    op.create_index("thumbnails_file", "thumbnails", ["sha256"])
    op.create_table(
        "url_previews", text("url_hash"), blob("json"), big("created_ts"), key("url_hash")
    )
    op.create_index("url_previews_created", "url_previews", ["created_ts"])
    op.create_table(
        "resumable_uploads",
        text("upload_id"), text("user_id"), big("size_bytes"), big("offset_bytes", default=0),
        text("content_type"), text("file_name"), text("media_id", null=True),
        big("created_ts"), big("expires_ts"),
        key("upload_id"),
    )  # fmt: skip
    op.create_index("resumable_uploads_user", "resumable_uploads", ["user_id"])
    op.create_index("resumable_uploads_expires", "resumable_uploads", ["expires_ts"])


def downgrade() -> None:
    """Remove the tables of media."""
    for table in reversed(TABLES):
        op.drop_table(table)
