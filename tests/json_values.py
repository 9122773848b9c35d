"""Hypothesis strategies for the JSON that strangers send."""

from hypothesis import strategies as st

from tidings.protocol.canonical_json import INTEGER_MAX

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
integers = st.integers(-INTEGER_MAX, INTEGER_MAX)
scalars = st.none() | st.booleans() | integers | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=5)
"""Everything canonical JSON can hold."""
