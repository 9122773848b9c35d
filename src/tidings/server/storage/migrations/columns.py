"""Column types that mean the same on SQLite and PostgreSQL."""

import sqlalchemy as sa

BIG = sa.BigInteger()
"""Positions, milliseconds, sizes."""
ROWID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A primary key that SQLite makes its rowid."""


def big(name: str, *, null: bool = False, default: int | None = None) -> "sa.Column[int]":
    """A whole number."""
    server_default = None if default is None else sa.text(str(default))
    return sa.Column(name, BIG, nullable=null, server_default=server_default)


def text(name: str, *, null: bool = False) -> "sa.Column[str]":
    """Text; empty is not the same as absent."""
    return sa.Column(name, sa.Text(), nullable=null)


def blob(name: str, *, null: bool = False) -> "sa.Column[bytes]":
    """Bytes, most often serialised JSON."""
    return sa.Column(name, sa.LargeBinary(), nullable=null)


def key(*names: str) -> sa.PrimaryKeyConstraint:
    """A primary key of several columns."""
    return sa.PrimaryKeyConstraint(*names)
