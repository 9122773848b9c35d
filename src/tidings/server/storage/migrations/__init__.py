"""Numbered migrations, run by Alembic at start when the database is behind."""
