"""Folding increments gives what a fresh sync gives; memory tells what the database tells."""

import asyncio
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.scenarios.sync_world import Action, Variant, actions, live, live_on_copy, variants

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(chosen=variants(), history=actions(60))
def test_sync_keeps_its_law(
    sqlite_template: Path, tmp_path: Path, chosen: list[Variant], history: list[Action]
) -> None:
    live_on_copy(sqlite_template, tmp_path, chosen, history)


@settings(max_examples=4, deadline=None, suppress_health_check=SLOW)
@given(chosen=variants(), history=actions(40))
def test_sync_keeps_its_law_on_postgresql(
    postgres_database: str, chosen: list[Variant], history: list[Action]
) -> None:
    asyncio.run(live(postgres_database, chosen, history))
