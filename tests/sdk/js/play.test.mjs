// A play for two: what one MatrixClient does, the other learns by its sync loop.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
    ClientEvent, Direction, EventType, MatrixEventEvent, NotificationCountType, Preset, RelationType,
    RoomEvent, RoomMemberEvent, RoomStateEvent, ThreadEvent, TimelineWindow, UserEvent, Visibility,
} from "matrix-js-sdk";
import {
    edited, eventIn, follow, login, newcomer, register, roomOf, stopAll, texts, until,
} from "./people.mjs";

let alice, bob, roomId;

before(async () => {
    [alice, bob] = [await newcomer("alice"), await newcomer("bob")];
    ({ room_id: roomId } = await alice.createRoom({
        name: "The play", preset: Preset.PrivateChat, invite: [bob.getUserId()],
    }));
    const invited = await roomOf(bob, roomId, "invite");
    assert.equal(invited.name, "The play");
    await bob.joinRoom(roomId);
    const room = await roomOf(alice, roomId);
    await until(alice, RoomStateEvent.Members,
        () => room.getMember(bob.getUserId())?.membership === "join");
});

after(stopAll);

async function say(client, body, where = roomId, more = {}) {
    const { event_id: id } = await client.sendMessage(where, { msgtype: "m.text", body, ...more });
    return id;
}

async function countIs(client, where, type, count) {
    const room = await roomOf(client, where);
    await until(room, RoomEvent.UnreadNotifications,
        () => room.getUnreadNotificationCount(type) === count);
}

test("a message arrives, and its echo is recognised", async () => {
    const id = await say(alice, "hello");
    const seen = await eventIn(bob, roomId, id);
    assert.equal(seen.getContent().body, "hello");
    assert.equal(seen.getUnsigned().transaction_id, undefined);
    const own = await eventIn(alice, roomId, id);
    await until(own, MatrixEventEvent.Status, () => own.status === null);
    const timeline = alice.getRoom(roomId).getLiveTimeline().getEvents();
    assert.equal(timeline.filter((event) => event.getContent().body === "hello").length, 1);
});

test("who types is shown, and that they have stopped", async () => {
    const member = () => bob.getRoom(roomId).getMember(alice.getUserId());
    await alice.sendTyping(roomId, true, 20_000);
    await until(bob, RoomMemberEvent.Typing, () => member()?.typing);
    await alice.sendTyping(roomId, false, 0);
    await until(bob, RoomMemberEvent.Typing, () => !member().typing);
});

test("unread messages are counted until they are read", async () => {
    const first = await eventIn(bob, roomId, await say(bob, "nothing unread"));
    assert.ok(first);
    await countIs(bob, roomId, NotificationCountType.Total, 0);
    await say(alice, "one");
    const mentions = { "m.mentions": { user_ids: [bob.getUserId()] } };
    const last = await say(alice, "two, for Bob", roomId, mentions);
    await countIs(bob, roomId, NotificationCountType.Total, 2);
    await countIs(bob, roomId, NotificationCountType.Highlight, 1);
    await bob.sendReadReceipt(await eventIn(bob, roomId, last));
    await countIs(bob, roomId, NotificationCountType.Total, 0);
    await countIs(bob, roomId, NotificationCountType.Highlight, 0);
    const room = alice.getRoom(roomId);
    await until(room, RoomEvent.Receipt, () => room.hasUserReadEvent(bob.getUserId(), last));
});

test("a private receipt is nobody else's", async () => {
    const id = await say(alice, "read in silence");
    await bob.sendReadReceipt(await eventIn(bob, roomId, id), "m.read.private");
    await countIs(bob, roomId, NotificationCountType.Total, 0);
    await eventIn(alice, roomId, await say(bob, "afterwards"));
    const receipts = alice.getRoom(roomId).getReceiptsForEvent(await eventIn(alice, roomId, id));
    assert.equal(receipts.some(({ type }) => type === "m.read.private"), false);
});

test("an edit replaces what was said", async () => {
    const id = await say(alice, "teh");
    const seen = await eventIn(bob, roomId, id);
    await say(alice, "* the", roomId, {
        "m.new_content": { msgtype: "m.text", body: "the" },
        "m.relates_to": { rel_type: RelationType.Replace, event_id: id },
    });
    assert.equal((await edited(seen)).getContent().body, "the");
});

test("a reaction is found with what it is to", async () => {
    const id = await say(alice, "react!");
    const relation = { rel_type: RelationType.Annotation, event_id: id, key: "🎉" };
    await bob.sendEvent(roomId, EventType.Reaction, { "m.relates_to": relation });
    const room = alice.getRoom(roomId);
    const [[key, by]] = await until(room, RoomEvent.Timeline, () => {
        const found = room.relations
            .getChildEventsForEvent(id, RelationType.Annotation, EventType.Reaction)
            ?.getSortedAnnotationsByKey();
        return found?.length && found;
    });
    assert.deepEqual([key, by.size], ["🎉", 1]);
});

test("a redacted message says nothing more", async () => {
    const id = await say(alice, "a secret");
    const seen = await eventIn(bob, roomId, id);
    await alice.redactEvent(roomId, id, undefined, { reason: "regret" });
    await until(bob.getRoom(roomId), RoomEvent.Redaction, () => seen.isRedacted());
    assert.deepEqual(seen.getContent(), {});
    const fetched = await bob.fetchRoomEvent(roomId, id);
    assert.deepEqual(fetched.content, {});
    assert.equal(fetched.unsigned.redacted_because.content.reason, "regret");
});

test("an answer in a thread makes the thread", async () => {
    const root = await say(alice, "a thread begins");
    await eventIn(bob, roomId, root);
    await alice.sendMessage(roomId, root, { msgtype: "m.text", body: "in the thread" });
    const room = bob.getRoom(roomId);
    const thread = await until(room, ThreadEvent.New, () => room.getThread(root));
    await until(room, RoomEvent.UnreadNotifications,
        () => room.getThreadUnreadNotificationCount(root, NotificationCountType.Total) === 1);
    await until(thread, ThreadEvent.Update, () => thread.replyToEvent?.getContent().body);
    assert.equal(thread.replyToEvent.getContent().body, "in the thread");
    await bob.sendReadReceipt(thread.replyToEvent);
    await until(room, RoomEvent.UnreadNotifications,
        () => room.getThreadUnreadNotificationCount(root, NotificationCountType.Total) === 0);
});

test("history is paged back to the beginning, in order, without gaps", async () => {
    const { room_id: long } = await alice.createRoom({ preset: Preset.PublicChat });
    const said = [];
    for (let number = 0; number < 60; number++) said.push(`${number}`);
    for (const body of said) await say(alice, body, long);
    await bob.joinRoom(long);
    const fresh = await follow(await login(bob), { initialSyncLimit: 5 });
    const room = await roomOf(fresh, long);
    assert.ok(texts(room.getLiveTimeline().getEvents()).length <= 5);
    while (room.getLiveTimeline().getPaginationToken(Direction.Backward)) {
        await fresh.scrollback(room, 7);
    }
    assert.deepEqual(texts(room.getLiveTimeline().getEvents()), said);
    const created = room.getLiveTimeline().getEvents()[0];
    assert.equal(created.getType(), EventType.RoomCreate);
});

test("a window opens in the middle of history and grows both ways", async () => {
    const { room_id: long } = await alice.createRoom({ preset: Preset.PrivateChat });
    const ids = [];
    for (let number = 0; number < 40; number++) ids.push(await say(alice, `${number}`, long));
    const fresh = await follow(await login(alice), { initialSyncLimit: 3 });
    const room = await roomOf(fresh, long);
    const window = new TimelineWindow(fresh, room.getUnfilteredTimelineSet());
    await window.load(ids[20], 6);
    assert.ok(texts(window.getEvents()).includes("20"));
    for (const direction of [Direction.Forward, Direction.Backward]) {
        while (window.canPaginate(direction)) {
            if (!(await window.paginate(direction, 10))) break;
        }
    }
    assert.deepEqual(texts(window.getEvents()), ids.map((_, number) => `${number}`));
});

test("a gap in the sync is filled from history", async () => {
    const [first] = await Promise.all([say(alice, "before the gap")]);
    await eventIn(bob, roomId, first);
    bob.stopClient();
    const said = [];
    for (let number = 0; number < 30; number++) said.push(`gap ${number}`);
    for (const body of said) await say(alice, body);
    const again = await follow(await login(bob), { initialSyncLimit: 4 });
    const room = await roomOf(again, roomId);
    while (!texts(room.getLiveTimeline().getEvents()).includes("before the gap")) {
        await again.scrollback(room, 10);
    }
    const seen = texts(room.getLiveTimeline().getEvents());
    assert.deepEqual(seen.slice(seen.indexOf("before the gap") + 1), said);
    bob = again;
});

test("addresses may hold any character", async () => {
    const { room_id: named } = await alice.createRoom({ preset: Preset.PublicChat });
    const domain = alice.getUserId().split(":").slice(1).join(":");
    const unique = alice.getUserId().slice(1, 15).replace(/\W/g, "");
    for (const localpart of [`a/b ${unique}`, `c#d?${unique}`, `e%2F${unique}`, `ü+&=${unique}`]) {
        const alias = `#${localpart}:${domain}`;
        await alice.createAlias(alias, named);
        assert.equal((await bob.getRoomIdForAlias(alias)).room_id, named);
        assert.equal((await bob.joinRoom(alias)).roomId, named);
        await bob.leave(named);
        await alice.deleteAlias(alias);
        await assert.rejects(bob.getRoomIdForAlias(alias), { errcode: "M_NOT_FOUND" });
    }
});

test("state keys may be empty, and hold any character", async () => {
    for (const key of ["", "a/b", "%2F", "#?&", "🔑", alice.getUserId()]) {
        await alice.sendStateEvent(roomId, "org.example.state", { key }, key);
        assert.deepEqual(await bob.getStateEvent(roomId, "org.example.state", key), { key });
        const state = bob.getRoom(roomId).currentState;
        await until(bob, RoomStateEvent.Events,
            () => state.getStateEvents("org.example.state", key)?.getContent().key === key);
    }
});

for (const version of ["10", "11", "12"]) {
    test(`a room of version ${version} works`, async () => {
        const { room_id: id } = await alice.createRoom({
            room_version: version, preset: Preset.PublicChat, name: `Version ${version}`,
        });
        await bob.joinRoom(id);
        const room = await roomOf(bob, id);
        assert.equal(room.getVersion(), version);
        const seen = await eventIn(alice, id, await say(bob, "hi", id));
        await alice.redactEvent(id, seen.getId());
        await until(alice.getRoom(id), RoomEvent.Redaction, () => seen.isRedacted());
        await alice.setPowerLevel(id, bob.getUserId(), 50);
        const member = () => room.getMember(bob.getUserId());
        await until(bob, RoomMemberEvent.PowerLevel, () => member()?.powerLevel === 50);
        await bob.setRoomTopic(id, "a topic");
        await until(alice, RoomStateEvent.Events, () => alice.getRoom(id).currentState
            .getStateEvents(EventType.RoomTopic, "")?.getContent().topic === "a topic");
    });
}

test("presence and a status are shown to whom one shares a room with", async () => {
    await alice.setPresence({ presence: "unavailable", status_msg: "at lunch" });
    const user = () => bob.getUser(alice.getUserId());
    await until(bob, UserEvent.Presence, () => user()?.presenceStatusMsg === "at lunch");
    assert.equal(user().presence, "unavailable");
});

test("a new name is shown in the rooms one is in", async () => {
    await alice.setDisplayName("Alice the Great");
    const member = () => bob.getRoom(roomId).getMember(alice.getUserId());
    await until(bob, RoomMemberEvent.Name, () => member()?.name === "Alice the Great");
    assert.equal((await bob.getProfileInfo(alice.getUserId())).displayname, "Alice the Great");
});

test("account data and tags come to other devices", async () => {
    const other = await follow(await login(alice));
    await alice.setAccountData("org.example.data", { some: "thing" });
    await until(other, ClientEvent.AccountData,
        () => other.getAccountData("org.example.data")?.getContent().some === "thing");
    await alice.setRoomTag(roomId, "m.favourite", { order: 0.25 });
    const room = await roomOf(other, roomId);
    await until(room, RoomEvent.Tags, () => room.tags["m.favourite"]?.order === 0.25);
});

test("a muted room counts nothing", async () => {
    const { room_id: muted } = await alice.createRoom({ preset: Preset.PublicChat });
    await bob.joinRoom(muted);
    await roomOf(bob, muted);
    await bob.setRoomMutePushRule("global", muted, true);
    await eventIn(bob, muted, await say(alice, "psst", muted));
    assert.equal(bob.getRoom(muted).getUnreadNotificationCount(NotificationCountType.Total), 0);
});

test("a published room is found and entered", async () => {
    const name = `Public ${alice.getUserId()}`;
    const { room_id: id } = await alice.createRoom({
        name, visibility: Visibility.Public, preset: Preset.PublicChat,
    });
    const { chunk } = await bob.publicRooms({ filter: { generic_search_term: name } });
    assert.deepEqual(chunk.map((room) => room.room_id), [id]);
    await bob.joinRoom(id);
    await roomOf(bob, id);
});

test("people are found by name", async () => {
    const { results } = await bob.searchUserDirectory({ term: alice.getUserId().slice(1, 12) });
    assert.ok(results.some((found) => found.user_id === alice.getUserId()));
});

test("whoever is removed is told, and sees no more", async () => {
    const { room_id: id } = await alice.createRoom({ preset: Preset.PublicChat });
    await bob.joinRoom(id);
    await roomOf(bob, id);
    await alice.kick(id, bob.getUserId(), "out");
    await roomOf(bob, id, "leave");
    const unseen = await say(alice, "he is gone", id);
    await assert.rejects(bob.fetchRoomEvent(id, unseen));
    await alice.ban(id, bob.getUserId());
    await roomOf(bob, id, "ban");
    await assert.rejects(bob.joinRoom(id), { errcode: "M_FORBIDDEN" });
    await alice.unban(id, bob.getUserId());
    await bob.joinRoom(id);
    await roomOf(bob, id);
    await bob.leave(id);
    await roomOf(bob, id, "leave");
    await bob.forget(id);
});

test("whoever knocks may be let in", async () => {
    const { room_id: id } = await alice.createRoom({
        initial_state: [{ type: "m.room.join_rules", state_key: "", content: { join_rule: "knock" } }],
    });
    await bob.knockRoom(id, { reason: "please" });
    await roomOf(bob, id, "knock");
    const room = await roomOf(alice, id);
    await until(alice, RoomStateEvent.Members,
        () => room.getMember(bob.getUserId())?.membership === "knock");
    await alice.invite(id, bob.getUserId());
    await bob.joinRoom(id);
    await roomOf(bob, id);
});

test("who logs out is told so", async () => {
    const other = await follow(await login(bob));
    const gone = new Promise((resolve) => other.once("Session.logged_out", resolve));
    await bob.deleteMultipleDevices([other.getDeviceId()], {
        type: "m.login.password", password: "correct horse battery staple",
        identifier: { type: "m.id.user", user: bob.getUserId() },
    });
    const error = await gone;
    assert.equal(error.errcode, "M_UNKNOWN_TOKEN");
});
