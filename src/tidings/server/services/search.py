"""Searching messages: candidates from the index, judged by what the events say now.

The index may be a moment behind or hold more than a searcher may see. So
nothing it says is passed on: a candidate counts only when the event, read in
this search's snapshot, is visible to the searcher and answers the query.
Candidates are taken from the newest backwards in bounded rounds; a page of the
order `rank` is the best of some hundred answers, the pages after it go on.
"""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from tidings.protocol.events import Event
from tidings.protocol.ids import EventId, RoomId
from tidings.rules.relations import is_valid_edit
from tidings.rules.search_documents import (
    TYPES,
    current_text,
    room_label,
    sender_label,
    type_label,
)
from tidings.rules.search_query import Clause, Query, Text, parse_query, score
from tidings.server.services.search_indexer import SearchIndexer
from tidings.server.services.search_request import Mark, SearchRequest
from tidings.server.services.search_scope import Scope, Scopes
from tidings.server.storage.database import ReadTx
from tidings.server.storage.search import Hit, SearchIndex, SearchSource, Sought

RANKED = 1_000
"""Candidates that are read in a round, to be ranked among themselves."""
RANKED_ENOUGH = 300
ROUNDS_MAX = 8
"""Bounds what a search costs for words that are common only where the searcher is not."""
LABELS_MAX = 200
"""Rooms or senders that are looked for by the index; of more, what is found is sorted out."""


class Answer(msgspec.Struct, frozen=True):
    """An event that answers the query."""

    event: Event
    text: Text
    score: float


class Found(msgspec.Struct, frozen=True):
    """A page of answers in their order, and where the next one begins."""

    query: Query
    page: Sequence[Answer]
    count: int
    next: Mark | None
    groups: Mapping[str, Mapping[str, "Group"]]


class Group(msgspec.Struct):
    """The answers of a page that are from one room or sender."""

    order: int
    results: list[EventId]
    next: Mark | None = None


class _Gathered(msgspec.Struct):
    answers: list[Answer]
    floor: int
    """Candidates before this position have not been looked at; 0: there are none."""


class Search:
    """Finds what was said."""

    def __init__(
        self,
        index: SearchIndex,
        indexer: SearchIndexer,
        source: SearchSource,
        scopes: Scopes,
    ) -> None:
        self._index = index
        self._indexer = indexer
        self._source = source
        self._scopes = scopes

    async def wait_until_level(self) -> None:
        """Let the index take up what has been said."""
        await self._indexer.wait_until_level()

    async def find(self, tx: ReadTx, request: SearchRequest) -> Found:
        """A page of what the searcher may see and asked for."""
        query = parse_query(request.search_term)
        before = min(request.mark.before, await tx.snapshot_position() + 1)
        mark = msgspec.structs.replace(request.mark, before=before)
        request = msgspec.structs.replace(request, mark=mark)
        scope = await self._scopes.load(tx, request.user_id, request.filter)
        if not query.terms or not scope.rooms:
            return Found(query, (), 0, None, {})
        gathered = await self._gather(tx, request, query, scope)
        answers = gathered.answers
        if request.order_by == "rank":
            answers.sort(key=lambda each: (-each.score, -each.event.position))
        end = mark.offset + request.limit
        page = answers[mark.offset : end]
        following = _next_mark(request, gathered, end)
        return Found(
            query, page, _count(mark, gathered), following, _groups(request, gathered, page)
        )

    async def _gather(
        self, tx: ReadTx, request: SearchRequest, query: Query, scope: Scope
    ) -> _Gathered:
        clauses = (*query.clauses, *_labels(request, scope))
        is_ranked = request.order_by == "rank"
        size = RANKED if is_ranked else max(100, request.limit * 4)
        gathered = _Gathered([], request.mark.before)
        for number in range(1, ROUNDS_MAX + 1):
            hits = await self._index.find(Sought(clauses, gathered.floor, size))
            gathered.answers += await self._judge(tx, hits, scope, (query, request))
            gathered.floor = hits[-1].position if len(hits) == size else 0
            # Where answers are rare among the candidates, fewer are worth the further rounds.
            enough = max(request.limit + 1, RANKED_ENOUGH // number if is_ranked else 0)
            if len(gathered.answers) >= enough or not gathered.floor:
                break
            size = RANKED
        return gathered

    async def _judge(
        self,
        tx: ReadTx,
        hits: Sequence[Hit],
        scope: Scope,
        asked: tuple[Query, SearchRequest],
    ) -> list[Answer]:
        """Those candidates that are answers, the newest first."""
        query, request = asked
        positions = {hit.position for hit in hits} | {hit.source for hit in hits if hit.source}
        events = await self._source.at(tx, sorted(positions))
        candidates = [(events[hit.position], hit.source) for hit in hits if hit.position in events]
        candidates = [pair for pair in candidates if pair[0].room_id in scope.rooms]
        await self._scopes.look_into(tx, scope, (event.room_id for event, _ in candidates))
        visible = [
            (event, scope.seen(events.get(source) if source else None))
            for event, source in candidates
            if event.type in request.types and _is_wanted(event, request) and scope.passes(event)
        ]
        return await asyncio.to_thread(_answers, query, visible, request.mark.now_ms)


def _answers(
    query: Query, candidates: Sequence[tuple[Event, Event | None]], now_ms: int
) -> list[Answer]:
    """Runs in a thread: to read a thousand texts takes tens of milliseconds."""
    answers = []
    for event, edit in candidates:
        if edit is not None and not is_valid_edit(event, edit):
            continue  # it was redacted; the index will hear of it
        said = current_text(event, edit)
        if said is None:
            continue
        text = Text(said)
        points = score(query, text, now_ms - event.origin_server_ts)
        if points is not None:
            answers.append(Answer(event, text, points))
    return answers


def _is_wanted(event: Event, request: SearchRequest) -> bool:
    """Whether the event is of the group that is paged through."""
    mark = request.mark
    return not mark.group or group_value(event, mark.group) == mark.value


def group_value(event: Event, key: str) -> str:
    """The room or the sender that an event is grouped by."""
    return event.sender if key == "sender" else event.room_id


def _labels(request: SearchRequest, scope: Scope) -> list[Clause]:
    """What the index can tell of rooms, senders and types."""
    mark = request.mark
    rooms: frozenset[RoomId] = scope.rooms
    senders = scope.filter.senders
    if mark.group == "room_id":
        rooms = rooms & {RoomId(mark.value)}
    if mark.group == "sender":
        senders = frozenset({mark.value})
    sets = []
    if len(rooms) <= LABELS_MAX:
        sets.append([room_label(room_id) for room_id in sorted(rooms)])
    if senders is not None and len(senders) <= LABELS_MAX:
        sets.append([sender_label(sender) for sender in sorted(senders)])
    if len(request.types) < len(TYPES):
        sets.append([type_label(each) for each in sorted(request.types)])
    nothing = ["·"]  # a label that no document has
    return [Clause(tuple((label,) for label in labels or nothing)) for labels in sets]


def _next_mark(request: SearchRequest, gathered: _Gathered, end: int) -> Mark | None:
    mark, answers = request.mark, gathered.answers
    replace = msgspec.structs.replace
    if end < len(answers):
        if request.order_by == "rank":
            return replace(mark, offset=end)
        last = answers[end - 1].event.position
        return replace(mark, before=last, seen=mark.seen + end)
    if not gathered.floor:
        return None
    return replace(mark, before=gathered.floor, offset=0, seen=mark.seen + len(answers))


def _count(mark: Mark, gathered: _Gathered) -> int:
    """How many answers there are: exactly where all were looked at, else by the rate so far."""
    found = len(gathered.answers)
    looked_at = max(1, mark.before - gathered.floor)
    return mark.seen + found + found * gathered.floor // looked_at


def _groups(
    request: SearchRequest, gathered: _Gathered, page: Sequence[Answer]
) -> dict[str, dict[str, Group]]:
    groups: dict[str, dict[str, Group]] = {}
    for key in request.group_by:
        by_value = groups.setdefault(key, {})
        for answer in page:
            value = group_value(answer.event, key)
            group = by_value.setdefault(value, Group(len(by_value) + 1, []))
            group.results.append(answer.event.event_id)
        for value, group in by_value.items():
            group.next = _group_mark(request, gathered, (key, value))
    return groups


def _group_mark(request: SearchRequest, gathered: _Gathered, group: tuple[str, str]) -> Mark | None:
    """Where the answers of a group go on after the page."""
    key, value = group
    mark, end = request.mark, request.mark.offset + request.limit
    if mark.group:  # the whole search is of one group: it goes on as the search does
        return _next_mark(request, gathered, end) if mark.group == key else None
    mine = [group_value(each.event, key) == value for each in gathered.answers]
    shown = sum(mine[:end])
    if sum(mine) == shown and not gathered.floor:
        return None
    marked = msgspec.structs.replace(mark, group=key, value=value)
    if request.order_by == "rank":
        return msgspec.structs.replace(marked, offset=shown, seen=0)
    last = [each for each, is_mine in zip(gathered.answers[:end], mine, strict=False) if is_mine]
    return msgspec.structs.replace(marked, before=last[-1].event.position, seen=shown)
