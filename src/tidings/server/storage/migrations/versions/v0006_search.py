"""The full-text index of messages, on PostgreSQL; SQLite keeps it in a file of its own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

from tidings.server.storage.migrations.columns import big, text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index; the server fills it from the events."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.create_table(
        "search_documents",
        sa.Column("position", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("tokens", TSVECTOR(), nullable=False),
        big("source", null=True),
    )
    op.create_index(
        "search_documents_tokens", "search_documents", ["tokens"], postgresql_using="gin"
    )
    where = sa.text("source IS NOT NULL")
    op.create_index(
        "search_documents_source", "search_documents", ["source"], postgresql_where=where
    )
    op.create_table(
        "search_progress",
        sa.Column("id", sa.Integer(), primary_key=True),
        big("version"), big("position"), big("event_position"), text("event_id"),
    )  # fmt: skip


def downgrade() -> None:
    """Remove the index."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_table("search_documents")
        op.drop_table("search_progress")
