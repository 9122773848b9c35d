"""Adding events to rooms: authorise, place, hash, sign, append, publish."""

from collections.abc import Callable, Mapping

import msgspec

from tidings.protocol.errors import Forbidden, InvalidParam, NotFound, UserSuspended
from tidings.protocol.events import Draft, Event
from tidings.protocol.ids import DeviceId, EventId, RoomId, UserId
from tidings.rules import authorise, pdu, push
from tidings.rules.push_conditions import Recipient, RoomContext
from tidings.rules.relations import relation_of
from tidings.rules.stream import EventAppended, Notice
from tidings.server.live.rooms import MEMBER, PendingRoom, Rooms, display_name_of, membership_of
from tidings.server.live.users import Users, default_rules_of
from tidings.server.storage.database import Database, WriteTx
from tidings.server.storage.events import EventStore
from tidings.server.storage.people import MAIN, MarkRow, PeopleStore
from tidings.server.storage.rooms import RoomStore

NOT_A_MEMBER = "You are not in this room, or it does not exist"
THREAD_HOPS_MAX = 3


class Transaction(msgspec.Struct, frozen=True):
    """A client's name for a request it may repeat: it has one effect however often it comes."""

    device_id: DeviceId
    txn_id: str


class SendEvent(msgspec.Struct, frozen=True):
    """Send an event, once for its transaction."""

    draft: Draft
    txn: Transaction | None = None
    ts: int | None = None
    """Milliseconds, where an application service tells the time of another network."""
    own_only: bool = False
    """Whether a redaction may be of the sender's own events only: that of a suspended account."""


class Timeline:
    """The one way events come into rooms."""

    def __init__(  # noqa: PLR0913, PLR0917 - its collaborators, by name
        self,
        db: Database,
        events: EventStore,
        room_store: RoomStore,
        people: PeopleStore,
        rooms: Rooms,
        users: Users,
        signer: pdu.Signer,
        now_ms: Callable[[], int],
    ) -> None:
        self._db = db
        self._events = events
        self._room_store = room_store
        self._people = people
        self._rooms = rooms
        self._users = users
        self._signer = signer
        self._now_ms = now_ms

    async def send(self, command: SendEvent) -> EventId:
        """Send an event; the answer to a repeated transaction is the first event's id."""

        async def recipe(tx: WriteTx) -> EventId:
            sent = await self._find_sent(tx, command)
            return sent or (await self.append(tx, command)).event_id

        return await self._db.write(recipe)

    async def redact(self, command: SendEvent) -> EventId:
        """Send a redaction and empty the event it names."""

        async def recipe(tx: WriteTx) -> EventId:
            sent = await self._find_sent(tx, command)
            return sent or (await self.append_redaction(tx, command)).event_id

        return await self._db.write(recipe)

    async def append(self, tx: WriteTx, command: SendEvent) -> Event:
        """Add an event within a recipe; raises Forbidden, BadJson, TooLarge."""
        return await self._append(tx, await self._room(tx, command.draft), command, None)

    async def append_to(self, tx: WriteTx, room: PendingRoom, command: SendEvent) -> Event:
        """Add an event to a room that the recipe holds, such as one it is creating."""
        return await self._append(tx, room, command, None)

    async def append_redaction(self, tx: WriteTx, command: SendEvent) -> Event:
        """Add a redaction within a recipe, and keep only the redacted form of its target."""
        draft = command.draft
        room = await self._room(tx, draft)
        target = await self._events.find(tx, draft.redacts) if draft.redacts else None
        if room.membership(draft.sender) != "join":
            raise Forbidden(NOT_A_MEMBER)
        if target is None or target.room_id != draft.room_id:
            raise NotFound("There is no such event in this room")
        if target.type == "m.room.create":
            raise Forbidden("The event that created the room cannot be redacted")
        if command.own_only and target.sender != draft.sender:
            raise UserSuspended("Your account is suspended: you may redact only what is yours")
        levels = room.power_levels
        if target.sender != draft.sender and levels.of(draft.sender) < levels.redact:
            raise Forbidden(f"Redacting the events of others needs power level {levels.redact}")
        if target.redacted_by is not None:
            return await self._append(tx, room, command, None)
        json = pdu.redact_client_json(target.json, room.version)
        redacted = msgspec.structs.replace(target, json=json, relates_to=None, rel_type=None)
        event = await self._append(tx, room, command, redacted)
        await self._events.replace_content(tx, target.event_id, json, event.event_id)
        await self._people.delete_notices_at(tx, target.position)
        current = room.get(target.type, target.state_key) if target.state_key is not None else None
        if current is not None and current.event_id == target.event_id:
            room.replace_state(msgspec.structs.replace(redacted, redacted_by=event.event_id))
        return event

    async def _find_sent(self, tx: WriteTx, command: SendEvent) -> EventId | None:
        if command.txn is None:
            return None
        draft, txn = command.draft, command.txn
        return await self._events.find_by_txn(tx, draft, txn.device_id, txn.txn_id)

    async def _room(self, tx: WriteTx, draft: Draft) -> PendingRoom:
        room = await self._rooms.for_update(tx, draft.room_id)
        if room is None:
            raise Forbidden(NOT_A_MEMBER)
        is_membership = draft.type == MEMBER
        if not is_membership and room.membership(draft.sender) != "join":
            # The same words as for a room that does not exist.
            raise Forbidden(NOT_A_MEMBER)
        return room

    async def _append(
        self, tx: WriteTx, room: PendingRoom, command: SendEvent, redacted: Event | None
    ) -> Event:
        draft, tip = command.draft, room.tip
        authorise.check(draft, room)
        keys = authorise.auth_event_keys(draft, room.version)
        placement = pdu.Placement(
            auth_events=[held.event_id for key in keys if (held := room.get(*key)) is not None],
            prev_events=[tip.event_id] if tip.depth else [],
            depth=tip.depth + 1,
            origin_server_ts=self._now_ms() if command.ts is None else command.ts,
        )
        built = pdu.build(draft, room.version, placement, self._signer)
        event = await self._place(tx, room, command, built, placement.origin_server_ts)
        _remember_content(event, draft)
        notices: list[Notice] = []
        if tip.depth:
            context = _context(room, event)
            is_loud = push.is_loud(event, context)
            counts = is_loud and event.thread_id is None
            event = msgspec.structs.replace(event, is_loud=int(is_loud), loud=tip.loud + counts)
            _remember_content(event, draft)
            notices = self._notices(tx, room, event, context)
        await self._store(tx, event, built.pdu, tip.depth + 1)
        await self._note_reading(tx, event, notices)
        room.add(event)
        if redacted is not None:
            redacted = msgspec.structs.replace(redacted, redacted_by=event.event_id)
        tx.emit(EventAppended(event.position, event, tuple(notices), redacted))
        return event

    async def _place(
        self, tx: WriteTx, room: PendingRoom, command: SendEvent, built: pdu.Built, ts: int
    ) -> Event:
        draft, txn = command.draft, command.txn
        relates_to, rel_type, thread_id = relation_of(draft.content)
        if relates_to is not None and thread_id is None:
            thread_id = await self._thread_of(tx, draft.room_id, relates_to)
        replaced = room.get(draft.type, draft.state_key) if draft.state_key is not None else None
        return Event(
            position=tx.next_position(),
            room_id=built.room_id,
            event_id=built.event_id,
            type=draft.type,
            sender=draft.sender,
            state_key=draft.state_key,
            origin_server_ts=ts,
            json=built.json,
            replaces=replaced.position if replaced else None,
            relates_to=relates_to,
            rel_type=rel_type,
            thread_id=thread_id,
            loud=room.tip.loud,
            device_id=txn.device_id if txn else None,
            txn_id=txn.txn_id if txn else None,
            replaced_json=replaced.json if replaced else None,
            replaced_id=replaced.event_id if replaced else None,
            replaced_sender=replaced.sender if replaced else None,
        )

    async def _thread_of(self, tx: WriteTx, room_id: RoomId, relates_to: EventId) -> EventId | None:
        """The thread that a reaction or an edit belongs to, through what it relates to."""
        target: EventId | None = relates_to
        for _ in range(THREAD_HOPS_MAX):
            event = await self._events.find(tx, target) if target else None
            if event is None or event.room_id != room_id:
                return None
            if event.thread_id is not None:
                return event.thread_id
            target = event.relates_to
        return None

    async def _store(self, tx: WriteTx, event: Event, pdu_half: bytes, depth: int) -> None:
        await self._events.append(tx, event, pdu_half, depth)
        if event.state_key is None:
            return
        await self._room_store.set_state(tx, event)
        if event.type == MEMBER:
            await self._room_store.set_member(tx, event, membership_of(event))

    async def _note_reading(self, tx: WriteTx, event: Event, notices: list[Notice]) -> None:
        """Who sends has read; who is told otherwise than an ordinary member is noted."""
        thread = event.thread_id or MAIN
        mark = MarkRow(event.room_id, thread, event.position, event.loud)
        await self._people.set_mark(tx, event.sender, mark)
        if self._users.has_notices(event.sender, event.room_id):
            await self._people.delete_read_notices(tx, event.sender, mark)
        if notices:
            await self._people.add_notices(tx, event.room_id, event.position, thread, notices)

    def _notices(
        self, tx: WriteTx, room: PendingRoom, event: Event, context: RoomContext
    ) -> list[Notice]:
        """Explicit members whom the event notifies, and those of default rules it mentions."""
        joined, rules = room.joined, self._users.explicit_rules(tx)
        notices = []
        for user_id in _common(rules, joined):
            if self._users.is_ignored(event.sender, by=user_id):
                continue
            actions = _evaluate(room, event, context, (user_id, rules[user_id]))
            if actions.notify:
                notices.append(Notice(user_id, notify=True, highlight=actions.highlight))
        # Since v1.17 no default rule looks for names in the text: only mentions count.
        named = push.mentioned(event) or frozenset()
        for user_id in joined if push.mentions_room(event, context) else named:
            if user_id not in joined or user_id in rules:
                continue
            actions = _evaluate(room, event, context, (user_id, default_rules_of(user_id)))
            if actions.highlight:
                notices.append(Notice(user_id, notify=actions.notify, highlight=True))
        return notices


def _common(rules: Mapping[UserId, push.Ruleset], joined: dict[UserId, None]) -> list[UserId]:
    if len(rules) < len(joined):
        return [user_id for user_id in rules if user_id in joined]
    return [user_id for user_id in joined if user_id in rules]


def _evaluate(
    room: PendingRoom, event: Event, context: RoomContext, whom: tuple[UserId, push.Ruleset]
) -> push.Actions:
    user_id, rules = whom
    member = Recipient(user_id, display_name_of(room.get(MEMBER, user_id)))
    return push.evaluate(event, rules, member, context)


def _remember_content(event: Event, draft: Draft) -> None:
    """The content is at hand: it need not be read from the event's JSON again."""
    if draft.redacts is None:  # a redaction's JSON has more than its draft
        event.__dict__["content"] = draft.content


def _context(room: PendingRoom, event: Event) -> RoomContext:
    levels = room.power_levels
    return RoomContext(len(room.joined), levels.of(event.sender), levels.notification())


def check_transaction_id(txn_id: str) -> str:
    """A transaction id that can be kept; raises InvalidParam."""
    if not txn_id or len(txn_id) > 255:
        raise InvalidParam("A transaction id must have between 1 and 255 characters")
    return txn_id
