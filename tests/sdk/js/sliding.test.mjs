// Sliding sync: a MatrixClient that knows its rooms by SlidingSync only, and one that syncs as ever.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
    ClientEvent, MatrixEventEvent, NotificationCountType, RoomEvent, RoomMemberEvent,
} from "matrix-js-sdk";
import {
    SlidingSync, SlidingSyncEvent, SlidingSyncState,
} from "matrix-js-sdk/lib/sliding-sync.js";
import { eventIn, follow, newcomer, register, roomOf, stopAll, texts, until } from "./people.mjs";

const STATE = [
    ["m.room.create", ""], ["m.room.name", ""], ["m.room.power_levels", ""], ["m.room.join_rules", ""],
    ["m.room.member", "$LAZY"], ["m.room.member", "$ME"],
];
let alice, bob, sliding, roomId;

async function slide(client, last = 9) {
    const list = {
        ranges: [[0, last]], timeline_limit: 5, required_state: STATE, filters: {},
    };
    const subscription = { timeline_limit: 20, required_state: [["*", "*"]] };
    const lists = new Map([["all", list]]);
    const slidingSync = new SlidingSync(client.baseUrl, lists, subscription, client, 20_000);
    await follow(client, { slidingSync });
    return slidingSync;
}

before(async () => {
    alice = await newcomer("alice");
    bob = await register("bob");
    ({ room_id: roomId } = await alice.createRoom({ name: "The slide", preset: "public_chat" }));
    await bob.joinRoom(roomId);
    sliding = await slide(bob);
});

after(async () => {
    sliding.stop();
    stopAll();
});

async function say(client, body, where = roomId, more = {}) {
    const { event_id: id } = await client.sendMessage(where, { msgtype: "m.text", body, ...more });
    return id;
}

test("the server says that it can", async () => {
    assert.equal(await bob.doesServerSupportUnstableFeature("org.matrix.simplified_msc3575"), true);
});

test("rooms come with name and members, and messages as they are sent", async () => {
    const room = await roomOf(bob, roomId);
    assert.equal(room.name, "The slide");
    assert.equal(room.getJoinedMemberCount(), 2);
    const seen = await eventIn(bob, roomId, await say(alice, "hello"));
    assert.equal(seen.getContent().body, "hello");
    assert.equal(room.getMember(alice.getUserId()).membership, "join");
    const own = await eventIn(bob, roomId, await say(bob, "hello yourself"));
    await until(own, MatrixEventEvent.Status, () => own.status === null);
    const events = room.getLiveTimeline().getEvents();
    assert.deepEqual(texts(events), ["hello", "hello yourself"]);
});

test("unread messages are counted until they are read", async () => {
    const room = await roomOf(bob, roomId);
    const counts = (total, highlight) => until(room, RoomEvent.UnreadNotifications, () =>
        room.getUnreadNotificationCount(NotificationCountType.Total) === total
        && room.getUnreadNotificationCount(NotificationCountType.Highlight) === highlight);
    const id = await say(alice, "for Bob", roomId, { "m.mentions": { user_ids: [bob.getUserId()] } });
    await counts(1, 1);
    await bob.sendReadReceipt(await eventIn(bob, roomId, id));
    await counts(0, 0);
    const theirs = await say(bob, "read this");
    await alice.sendReadReceipt(await eventIn(alice, roomId, theirs));
    await until(room, RoomEvent.Receipt, () => room.hasUserReadEvent(alice.getUserId(), theirs));
});

test("who types is shown, and that they have stopped", async () => {
    const member = () => bob.getRoom(roomId).getMember(alice.getUserId());
    await alice.sendTyping(roomId, true, 20_000);
    await until(bob, RoomMemberEvent.Typing, () => member()?.typing);
    await alice.sendTyping(roomId, false, 0);
    await until(bob, RoomMemberEvent.Typing, () => !member().typing);
});

test("account data comes, of rooms and of everywhere", async () => {
    await bob.setAccountData("org.example.everywhere", { a: 1 });
    await until(bob, ClientEvent.AccountData,
        () => bob.getAccountData("org.example.everywhere")?.getContent().a === 1);
    await bob.setRoomAccountData(roomId, "org.example.here", { b: 2 });
    const room = bob.getRoom(roomId);
    await until(room, RoomEvent.AccountData,
        () => room.getAccountData("org.example.here")?.getContent().b === 2);
});

test("an invitation comes, is accepted, and the room is left again", async () => {
    const { room_id: id } = await alice.createRoom({ name: "Private", invite: [bob.getUserId()] });
    const invited = await roomOf(bob, id, "invite");
    assert.equal(invited.name, "Private");
    await bob.joinRoom(id);
    const room = await roomOf(bob, id);
    await eventIn(bob, id, await say(alice, "welcome", id));
    await bob.leave(id);
    await until(bob, ClientEvent.Event, () => room.getMyMembership() === "leave");
});

test("a change of state is told", async () => {
    const room = bob.getRoom(roomId);
    await alice.setRoomName(roomId, "Another name");
    await until(room, RoomEvent.Name, () => room.name === "Another name");
});

test("a subscription shows a room beyond the window, with all of its state", async () => {
    const { room_id: old } = await alice.createRoom({ preset: "public_chat", topic: "Old" });
    await say(alice, "long ago", old);
    await alice.sendStateEvent(old, "org.example.more", { more: true }, "");
    const carol = await register("carol");
    await carol.joinRoom(old);
    await carol.joinRoom(roomId);
    await say(alice, "newer");
    const slidingSync = await slide(carol, 0);
    await roomOf(carol, roomId);
    assert.equal(slidingSync.getListData("all").joinedCount, 2);
    assert.equal(carol.getRoom(old), null);
    slidingSync.modifyRoomSubscriptions(new Set([old]));
    const room = await roomOf(carol, old);
    assert.ok(room.currentState.getStateEvents("org.example.more", ""));
    assert.ok(texts(room.getLiveTimeline().getEvents()).includes("long ago"));
    const id = await say(alice, "still followed", roomId);
    await eventIn(carol, roomId, id);
    await eventIn(carol, old, await say(alice, "followed too", old));
    slidingSync.stop();
});

test("a position nobody knows makes the client begin anew", async () => {
    const dora = await register("dora");
    await dora.joinRoom(roomId);
    const slidingSync = await slide(dora);
    const original = dora.slidingSync.bind(dora);
    let spoilt = false;
    dora.slidingSync = (request, ...more) => {
        if (!spoilt && request.pos) {
            spoilt = true;
            request.pos = "s1_unknown";
        }
        return original(request, ...more);
    };
    const refused = new Promise((resolve) => {
        slidingSync.on(SlidingSyncEvent.Lifecycle, (state, _, error) => {
            if (state === SlidingSyncState.RequestFinished && error) resolve(error);
        });
    });
    slidingSync.resend();
    assert.equal((await refused).errcode, "M_UNKNOWN_POS");
    await eventIn(dora, roomId, await say(alice, "after all"));
    slidingSync.stop();
});

test("messages to the device come", async () => {
    const got = new Promise((resolve) => bob.once(ClientEvent.ToDeviceEvent, resolve));
    const content = new Map([[bob.getUserId(), new Map([[bob.getDeviceId(), { body: "psst" }]])]]);
    await alice.sendToDevice("org.example.message", content);
    assert.equal((await got).getContent().body, "psst");
});
