"""From what was planned and read of rooms to what a client is told, and what it has then."""

from collections.abc import Iterable

from msgspec import UNSET, Raw, UnsetType

from tidings.protocol.events import Event
from tidings.protocol.tokens import format_token
from tidings.rules.presentation import NO_BUNDLE, View, client_event
from tidings.rules.required_state import MEMBER, Wanted
from tidings.rules.sliding_sync import BUMPS, RoomResult, hero_of, raw, text_of
from tidings.rules.sync import Counts, stripped
from tidings.server.services.sliding_connections import WHOLE, Connection, Sent
from tidings.server.services.sliding_plan import NO_WISHES, RoomPlan
from tidings.server.services.sliding_rooms import RoomRead, acting

MEMBERS_MAX = 2_000
"""Members of a room that are remembered as sent; with more they are sent again."""
NOBODY: frozenset[str] = frozenset()


def compose_outside(plan: RoomPlan, events: list[Event], upto: int) -> tuple[RoomResult, Sent]:
    """A room that shows itself to somebody invited, or to somebody who knocks."""
    entry = plan.entry
    is_invite = entry.membership == "invite"
    state = raw(stripped(event) for event in events)
    result = RoomResult(
        initial=True,
        membership=entry.membership,
        bump_stamp=entry.changed,
        is_dm=True if entry.is_dm else UNSET,
        invite_state=state if is_invite else UNSET,
        knock_state=UNSET if is_invite else state,
    )
    sent = Sent(upto, entry.membership, 0, NO_WISHES, NOBODY, Counts(), entry.changed, entry.is_dm)
    return result, sent


def compose(
    plan: RoomPlan, read: RoomRead, connection: Connection, upto: int, shown: View
) -> tuple[RoomResult, Sent]:
    """A room that the user is in, or was."""
    stretch, entry = read.stretch, plan.entry
    members = acting(plan, stretch)
    bump = _bump(plan, read)
    old = None if plan.initial else plan.sent
    is_joined = entry.membership == "join"
    first = stretch.events[0].position if stretch.events else upto + 1
    result = RoomResult(
        initial=True if plan.initial else UNSET,
        membership=entry.membership if old is None or old.membership != entry.membership else UNSET,
        bump_stamp=UNSET if old is not None and old.bump == bump else bump,
        is_dm=entry.is_dm if entry.is_dm or (old is not None and old.is_dm) else UNSET,
        name=_text(plan, read, "m.room.name", "name"),
        avatar=_text(plan, read, "m.room.avatar", "url"),
        heroes=UNSET
        if not read.heroes
        else [hero_of(user_id, read.members.get(user_id)) for user_id in read.heroes],
        expanded_timeline=plan.grows or UNSET,
        unstable_expanded_timeline=plan.grows or UNSET,
        required_state=_state(plan, read, members, shown),
        timeline=raw(
            client_event(event, shown, read.bundles.get(event.event_id, NO_BUNDLE))
            for event in stretch.events
        ),
        prev_batch=format_token(first - 1) if stretch.events or plan.initial else UNSET,
        limited=stretch.limited or (False if plan.initial else UNSET),
        num_live=_live(stretch.events, connection),
        joined_count=read.counts.get("join", 0) if read.counts else UNSET,
        invited_count=read.counts.get("invite", 0) if read.counts else UNSET,
        notification_count=plan.counts.notifications if is_joined else UNSET,
        highlight_count=plan.counts.highlights if is_joined else UNSET,
    )
    return result, _sent(plan, read, (upto, bump), members)


def compose_gone(plan: RoomPlan, read: RoomRead, upto: int, shown: View) -> tuple[RoomResult, Sent]:
    """An invitation that was refused or taken back: of the room only the refusal is shown."""
    entry = plan.entry
    own = read.state.get((MEMBER, shown.user_id))
    events = [] if own is None else [client_event(own, shown)]
    result = RoomResult(
        membership=entry.membership, bump_stamp=entry.changed, required_state=raw(events)
    )
    sent = Sent(upto, entry.membership, 0, NO_WISHES, NOBODY, Counts(), entry.changed, entry.is_dm)
    return result, sent


def _sent(plan: RoomPlan, read: RoomRead, moved: tuple[int, int], members: set[str]) -> Sent:
    upto, bump = moved
    limited, limit = read.stretch.limited, plan.config.limit
    old = None if plan.initial else plan.sent
    known = NOBODY if old is None or limited else old.members
    if old is None or plan.grows:
        limit = limit if limited else WHOLE
    elif not limited:
        limit = old.limit
    known |= members
    return Sent(
        upto=upto,
        membership=plan.entry.membership,
        limit=limit,
        wishes=plan.config.wishes,
        members=known if len(known) <= MEMBERS_MAX else NOBODY,
        counts=plan.counts,
        bump=bump,
        is_dm=plan.entry.is_dm,
    )


def _bump(plan: RoomPlan, read: RoomRead) -> int:
    if plan.entry.membership != "join":
        return plan.entry.changed
    if read.bump is not None:
        return read.bump
    bumps = [event.position for event in read.stretch.found if event.type in BUMPS]
    before = plan.sent.bump if plan.sent else 0
    return max(before, *bumps) if bumps else before


def _text(plan: RoomPlan, read: RoomRead, type_: str, key: str) -> str | UnsetType | None:
    """The room's name or picture, where it is new; None where it was taken away."""
    event = read.state.get((type_, ""))
    if event is None or event.position <= plan.since:
        return UNSET
    text = text_of(event, key)
    return UNSET if text is None and plan.initial else text


def _live(events: Iterable[Event], connection: Connection) -> int:
    if connection.pos is None:
        return 0
    return sum(event.position > connection.position for event in events)


def _state(plan: RoomPlan, read: RoomRead, members: set[str], shown: View) -> list[Raw]:
    before = NO_WISHES if plan.initial or plan.sent is None else plan.sent.wishes
    chosen: dict[tuple[str, str | None], Event] = {
        (MEMBER, user_id): read.members[user_id] for user_id in members if user_id in read.members
    }
    for (type_, state_key), event in read.state.items():
        key = (type_, state_key or "")
        is_new = event.position > plan.since or event.redacted_by is not None
        if (is_new and _wants(plan.config.wishes, key)) or (
            _wants(plan.new_wishes, key) and not _wants(before, key)
        ):
            chosen[type_, state_key] = event
    return raw(client_event(event, shown) for event in chosen.values())


def _wants(wishes: Iterable[Wanted], key: tuple[str, str]) -> bool:
    return any(wanted.wants(*key) for wanted in wishes)
