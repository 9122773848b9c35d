// People with a MatrixClient each, and ways to wait for what their sync loops tell.

import { randomBytes } from "node:crypto";
import { createClient, ClientEvent, MatrixEventEvent, RoomEvent, SyncState } from "matrix-js-sdk";

const BASE_URL = process.env.TIDINGS_URL;
const PASSWORD = "correct horse battery staple";
const PATIENCE_MS = 15_000;
const running = new Set();

const silent = {
    trace() {}, debug() {}, info() {}, warn() {}, error() {},
    getChild() { return silent; },
};

function clientOf(login) {
    const client = createClient({
        baseUrl: BASE_URL,
        accessToken: login?.access_token,
        userId: login?.user_id,
        deviceId: login?.device_id,
        logger: silent,
        timelineSupport: true,
    });
    running.add(client);
    return client;
}

/** A new account about that name; its client does not sync yet. */
export async function register(name) {
    const username = `${name}-${randomBytes(4).toString("hex")}`;
    const auth = { type: "m.login.dummy" };
    return clientOf(await clientOf().registerRequest({ username, password: PASSWORD, auth }));
}

/** Another device of somebody. */
export async function login(person) {
    const identifier = { type: "m.id.user", user: person.getUserId() };
    const type = "m.login.password";
    return clientOf(await clientOf().loginRequest({ type, identifier, password: PASSWORD }));
}

/** Begin to sync; returns when the first sync has come. */
export async function follow(client, options = {}) {
    await client.startClient({
        initialSyncLimit: 8, lazyLoadMembers: true, threadSupport: true, ...options,
    });
    await until(client, ClientEvent.Sync, () => client.getSyncState() === SyncState.Syncing);
    return client;
}

/** Somebody new who syncs. */
export async function newcomer(name) {
    return follow(await register(name));
}

/** Wait until `get` gives something: asked at once and at each event of the emitter. */
export function until(emitter, event, get) {
    return new Promise((resolve, reject) => {
        const where = new Error(`waited in vain for ${event}: ${get}`);
        const timer = setTimeout(() => done(reject, where), PATIENCE_MS);
        function done(how, what) {
            clearTimeout(timer);
            emitter.off(event, look);
            how(what);
        }
        function look() {
            try {
                const found = get();
                if (found) done(resolve, found);
            } catch (error) {
                done(reject, error);
            }
        }
        emitter.on(event, look);
        look();
    });
}

/** The room, when the client is in it as `membership`. */
export function roomOf(client, roomId, membership = "join") {
    const get = () => {
        const room = client.getRoom(roomId);
        return room?.getMyMembership() === membership && room;
    };
    return until(client, ClientEvent.Sync, get);
}

/** An event, when the sync loop has brought it. */
export async function eventIn(client, roomId, eventId) {
    const room = await roomOf(client, roomId);
    return until(room, RoomEvent.Timeline, () => room.findEventById(eventId));
}

/** The event, when it has been edited. */
export async function edited(event) {
    await until(event, MatrixEventEvent.Replaced, () => event.replacingEvent());
    return event;
}

/** The texts of a room's live timeline, oldest first. */
export function texts(events) {
    return events.filter((e) => e.getType() === "m.room.message").map((e) => e.getContent().body);
}

/** End all sync loops. */
export function stopAll() {
    for (const client of running) client.stopClient();
}
