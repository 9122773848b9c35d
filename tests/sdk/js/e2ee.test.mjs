// A play with secrets: encrypted rooms, verification, key backup and key requests between devices.

import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { after, before, test } from "node:test";
import { ClientEvent, createClient, MatrixEventEvent } from "matrix-js-sdk";
import {
    CryptoEvent, decodeRecoveryKey, VerificationPhase, VerificationRequestEvent, VerifierEvent,
} from "matrix-js-sdk/lib/crypto-api/index.js";
import { eventIn, follow, login, register, roomOf, stopAll, until } from "./people.mjs";

const SAS = "m.sas.v1";
const LIMIT = { timeout: 40_000 };
const ENCRYPTION = {
    type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" },
};
const CHANGES = [
    ClientEvent.Sync, CryptoEvent.DevicesUpdated, CryptoEvent.UserTrustStatusChanged,
    CryptoEvent.KeysChanged,
];
const running = new Set();
let desk, phone, bob, tablet, laptop, watch, roomId, recoveryKey, said;

/** Somebody who types in the recovery key when asked for it. */
const holder = {
    getSecretStorageKey: async ({ keys }) =>
        [Object.keys(keys)[0], decodeRecoveryKey(recoveryKey.encodedPrivateKey)],
};

/** A device that syncs and encrypts, of the login that a client was made for. */
async function encrypting(plain, cryptoCallbacks = {}) {
    const device = createClient({
        baseUrl: plain.baseUrl,
        accessToken: plain.getAccessToken(),
        userId: plain.getUserId(),
        deviceId: plain.getDeviceId(),
        logger: plain.logger,
        timelineSupport: true,
        cryptoCallbacks,
    });
    running.add(device);
    await device.initRustCrypto({ useIndexedDB: false });
    await follow(device);
    await untilTrue(device, [ClientEvent.Sync], () => hasPublished(device));
    return device;
}

async function hasPublished(device) {
    const user = device.getUserId();
    const { device_keys: keys } = await device.downloadKeysForUsers([user]);
    return device.getDeviceId() in (keys[user] ?? {});
}

/** Wait until what `ask` promises is true: asked at once and at each of the events. */
async function untilTrue(emitter, events, ask) {
    const answers = new EventEmitter();
    let isTrue = false;
    const look = async () => {
        isTrue = await ask() || isTrue;
        answers.emit("answer");
    };
    for (const event of events) emitter.on(event, look);
    try {
        look();
        await until(answers, "answer", () => isTrue);
    } finally {
        for (const event of events) emitter.off(event, look);
    }
}

async function say(device, body) {
    const { event_id: id } = await device.sendMessage(roomId, { msgtype: "m.text", body });
    return id;
}

const isReadable = (event) => event.getType() === "m.room.message" && !event.isDecryptionFailure();

/** What an event says to a device, when it has the key. */
async function read(device, id) {
    const event = await eventIn(device, roomId, id);
    assert.equal(event.getWireType(), "m.room.encrypted");
    await until(event, MatrixEventEvent.Decrypted, () => isReadable(event));
    return event.getContent().body;
}

async function hasVerified(device, other) {
    const status = await device.getCrypto()
        .getDeviceVerificationStatus(other.getUserId(), other.getDeviceId());
    return status?.crossSigningVerified ?? false;
}

function untilVerified(device, other) {
    return untilTrue(device, CHANGES, () => hasVerified(device, other));
}

/** The next request for verification that somebody's device hears of. */
function nextRequest(device) {
    let request;
    device.once(CryptoEvent.VerificationRequestReceived, (received) => { request = received; });
    return until(device, CryptoEvent.VerificationRequestReceived, () => request);
}

function inPhase(request, phase) {
    return until(request, VerificationRequestEvent.Change, () => request.phase === phase);
}

function shownBy(verifier) {
    return until(verifier, VerifierEvent.ShowSas, () => verifier.getShowSasCallbacks());
}

/** Both compare their emoji, from the request to the end. */
async function compareEmoji(ours, theirs) {
    await theirs.accept();
    await inPhase(ours, VerificationPhase.Ready);
    const starter = await ours.startVerification(SAS);
    const answerer = await until(theirs, VerificationRequestEvent.Change, () => theirs.verifier);
    const ends = [starter.verify(), answerer.verify()];
    const [one, other] = await Promise.all([shownBy(starter), shownBy(answerer)]);
    assert.equal(one.sas.emoji.length, 7);
    assert.deepEqual(one.sas.emoji, other.sas.emoji);
    assert.deepEqual(one.sas.decimal, other.sas.decimal);
    await Promise.all([one.confirm(), other.confirm(), ...ends]);
    await inPhase(ours, VerificationPhase.Done);
    await inPhase(theirs, VerificationPhase.Done);
}

async function knows(device, other) {
    const user = other.getUserId();
    const devices = await device.getCrypto().getUserDeviceInfo([user]);
    return devices.get(user)?.has(other.getDeviceId()) ?? false;
}

/** A new device of somebody is verified by one that is already. */
async function verifyOwn(fresh, trusted) {
    await untilTrue(fresh, CHANGES, () => knows(fresh, trusted));
    await untilTrue(trusted, CHANGES, () => knows(trusted, fresh));
    const heard = nextRequest(trusted);
    const ours = await fresh.getCrypto()
        .requestDeviceVerification(trusted.getUserId(), trusted.getDeviceId());
    await compareEmoji(ours, await heard);
    await Promise.all([untilVerified(fresh, trusted), untilVerified(trusted, fresh)]);
}

async function hasPrivateKeys(device) {
    const { privateKeysCachedLocally: keys } = await device.getCrypto().getCrossSigningStatus();
    return keys.masterKey && keys.selfSigningKey && keys.userSigningKey;
}

before(async () => {
    desk = await encrypting(await register("alice"), holder);
    bob = await encrypting(await register("bob"));
    [phone, tablet] = [await encrypting(await login(desk)), await encrypting(await login(bob))];
    const invite = [bob.getUserId()];
    ({ room_id: roomId } = await desk.createRoom({ invite, initial_state: [ENCRYPTION] }));
    await roomOf(bob, roomId, "invite");
    await bob.joinRoom(roomId);
    for (const device of [desk, phone, bob, tablet]) {
        const room = await roomOf(device, roomId);
        await until(device, ClientEvent.Sync,
            () => room.hasEncryptionStateEvent() && room.getJoinedMemberCount() === 2);
    }
}, LIMIT);

after(() => {
    for (const device of running) device.stopClient();
    stopAll();
});

/** Each says something that all can read; what was said, by event. */
async function talk(devices) {
    const said = new Map();
    for (const speaker of devices) {
        const body = `from ${speaker.getDeviceId()}`;
        const id = await say(speaker, body);
        said.set(id, body);
        for (const device of devices) assert.equal(await read(device, id), body);
    }
    return said;
}

test("what one device says, all others can read", LIMIT, async () => {
    said = await talk([desk, phone, bob, tablet]);
});

test("cross-signing keys are set up without a question", LIMIT, async () => {
    for (const device of [desk, bob]) {
        let attempts = 0;
        await device.getCrypto().bootstrapCrossSigning({
            authUploadDeviceSigningKeys: async (upload) => {
                attempts += 1;
                return upload(null);
            },
        });
        assert.equal(attempts, 1);
        assert.ok(await hasPrivateKeys(device));
        await untilVerified(device, device);
    }
});

test("one's devices verify each other, and the new one is given the secrets", LIMIT, async () => {
    for (const [fresh, trusted] of [[phone, desk], [tablet, bob]]) {
        assert.equal(await hasVerified(trusted, fresh), false);
        await verifyOwn(fresh, trusted);
        await untilTrue(fresh, CHANGES, () => hasPrivateKeys(fresh));
    }
});

test("two people verify each other, and all their devices know of it", LIMIT, async () => {
    assert.equal(await hasVerified(desk, tablet), false);
    const heard = nextRequest(bob);
    const ours = await desk.getCrypto().requestVerificationDM(bob.getUserId(), roomId);
    await compareEmoji(ours, await heard);
    for (const ally of [desk, phone]) {
        for (const other of [bob, tablet]) {
            await untilVerified(ally, other);
            await untilVerified(other, ally);
        }
    }
});

/** The messages of before as a device finds them in the room's history, not yet readable. */
async function unreadable(device) {
    const room = await roomOf(device, roomId);
    await device.scrollback(room, 100);
    const events = [...said.keys()].map((id) => room.findEventById(id));
    for (const event of events) {
        await until(event, MatrixEventEvent.Decrypted, () => event.isDecryptionFailure());
    }
    return events;
}

test("a later device reads what was said before, by backup and recovery key", LIMIT, async () => {
    const crypto = desk.getCrypto();
    recoveryKey = await crypto.createRecoveryKeyFromPassphrase();
    let remaining;
    desk.on(CryptoEvent.KeyBackupSessionsRemaining, (count) => { remaining = count; });
    await crypto.bootstrapSecretStorage({
        createSecretStorageKey: async () => recoveryKey, setupNewKeyBackup: true,
    });
    assert.equal(await crypto.isSecretStorageReady(), true);
    await until(desk, CryptoEvent.KeyBackupSessionsRemaining, () => remaining === 0);

    laptop = await encrypting(await login(desk), holder);
    await unreadable(laptop);
    const later = laptop.getCrypto();
    await later.bootstrapCrossSigning({});
    for (const device of [laptop, desk, bob]) await untilVerified(device, laptop);
    await later.loadSessionBackupPrivateKeyFromSecretStorage();
    const { trustInfo } = await later.checkKeyBackupAndEnable();
    assert.deepEqual(trustInfo, { trusted: true, matchesDecryptionKey: true });
    const { imported, total } = await later.restoreKeyBackup();
    assert.equal(imported, total);
    assert.ok(total >= said.size);
    for (const [id, body] of said) assert.equal(await read(laptop, id), body);
});

test("a device that missed the keys is given them by another of the same person", LIMIT, async () => {
    watch = await encrypting(await login(bob));
    const events = await unreadable(watch);
    await verifyOwn(watch, bob);
    // The SDK answers such requests, but makes none itself unless its machine is told to.
    const crypto = watch.getCrypto();
    crypto.olmMachine.roomKeyRequestsEnabled = true;
    for (const event of events) await event.attemptDecryption(crypto, { isRetry: true });
    for (const [id, body] of said) assert.equal(await read(watch, id), body);
});

test("the later devices take part in what is said from then on", LIMIT, async () => {
    await talk([desk, laptop, tablet, watch]);
});
