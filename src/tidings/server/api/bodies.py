"""Types of fields that occur in many bodies."""

from typing import Annotated, TypeAlias

import msgspec

ShortText: TypeAlias = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00]*\Z")]
"""A name or an id: what PostgreSQL can keep as text and a person would still read."""
