"""Pushes: one loop queues, another sends what is queued, each pusher's in order.

Bounds: so many pushers are served at once, of them so many at one gateway. A
gateway that fails is tried again after a time that doubles; meanwhile what
waits for it stays in the queue of the database.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from urllib.parse import urlsplit

from tidings.protocol.errors import StorageUnavailable
from tidings.server.config import Push
from tidings.server.services.push_outbox import Delivery, Parcel, PushOutbox
from tidings.server.services.push_queue import PushQueue
from tidings.server.storage.database import StorageError
from tidings.server.workers.push_gateway import GatewayError, Gateways

log = logging.getLogger("tidings.push")

LANES_MAX = 32
"""Pushers served at once."""
GATEWAY_LANES_MAX = 8
"""Of them, at one gateway."""
TURN_S = 5.0
"""How often a process asks whether it is its turn to push."""
FAULT_S = 1.0
"""How long to wait when the database takes no writes."""


class Lanes:
    """Serves the pushers that are due."""

    def __init__(
        self, outbox: PushOutbox, gateways: Gateways, told: Callable[[Delivery], None], times: Push
    ) -> None:
        self._outbox = outbox
        self._gateways = gateways
        self._told = told
        self._times = times
        self._due: list[tuple[float, int]] = []
        self._scheduled: set[int] = set()
        self._running: set[int] = set()
        self._again: set[int] = set()
        self._failures: dict[int, int] = {}
        self._at_gateway: dict[str, int] = {}
        self._parked: dict[str, deque[int]] = {}
        self._changed = asyncio.Event()

    def add(self, pusher_ids: Iterable[int]) -> None:
        """Something waits for these pushers; one that failed is left its time."""
        for pusher_id in pusher_ids:
            if pusher_id in self._running:
                self._again.add(pusher_id)
            else:
                self._schedule(pusher_id, 0.0)

    async def run(self) -> None:
        """Run for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._wait()
                _, pusher_id = heappop(self._due)
                self._scheduled.discard(pusher_id)
                self._running.add(pusher_id)
                group.create_task(self._serve(pusher_id), name=f"push {pusher_id}")

    def _schedule(self, pusher_id: int, delay_s: float) -> None:
        if pusher_id in self._scheduled:
            return
        self._scheduled.add(pusher_id)
        heappush(self._due, (asyncio.get_running_loop().time() + delay_s, pusher_id))
        self._changed.set()

    async def _wait(self) -> None:
        """Until a pusher is due and there is a lane for it."""
        while True:
            self._changed.clear()
            wait_s = None
            if self._due and len(self._running) < LANES_MAX:
                wait_s = self._due[0][0] - asyncio.get_running_loop().time()
                if wait_s <= 0:
                    return
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _serve(self, pusher_id: int) -> None:
        delay_s: float | None = None
        try:
            delay_s = await self._deliver(pusher_id)
        except (StorageUnavailable, StorageError) as error:
            log.warning("push.queue_failed error=%s", error)
            delay_s = FAULT_S
        except Exception:
            # A fault of ours with one pusher must not end the pushes of all others.
            log.exception("push.failed pusher=%s", pusher_id)
            delay_s = self._times.retry_max_ms / 1000
        finally:
            self._running.discard(pusher_id)
            if delay_s is not None:
                self._schedule(pusher_id, delay_s)
            elif pusher_id in self._again:
                self._schedule(pusher_id, 0.0)
            self._again.discard(pusher_id)
            self._changed.set()

    async def _deliver(self, pusher_id: int) -> float | None:
        """Send what waits for a pusher; after which time to go on, if anything is left."""
        while (delivery := await self._outbox.prepare(pusher_id)) is not None:
            gateway = urlsplit(delivery.url).netloc
            if not self._enter(gateway, pusher_id):
                return None
            try:
                is_taken = await self._send(delivery)
            finally:
                self._leave(gateway)
            if not is_taken:
                return self._delay_s(pusher_id)
            self._failures.pop(pusher_id, None)
        self._failures.pop(pusher_id, None)
        return None

    def _enter(self, gateway: str, pusher_id: int) -> bool:
        """Take a place at a gateway, or wait in line for one without keeping a lane."""
        busy = self._at_gateway.get(gateway, 0)
        if busy >= GATEWAY_LANES_MAX:
            self._parked.setdefault(gateway, deque()).append(pusher_id)
            return False
        self._at_gateway[gateway] = busy + 1
        return True

    def _leave(self, gateway: str) -> None:
        self._at_gateway[gateway] -= 1
        if not self._at_gateway[gateway]:
            del self._at_gateway[gateway]
        parked = self._parked.get(gateway)
        if parked:
            self.add([parked.popleft()])
        if not parked:
            self._parked.pop(gateway, None)

    async def _send(self, delivery: Delivery) -> bool:
        """Send parcels one after the other; False when the gateway failed."""
        taken: list[Parcel] = []
        rejected: list[str] = []
        failure = ""
        for parcel in delivery.parcels:
            try:
                rejected = await self._gateways.notify(delivery.url, parcel.body)
            except GatewayError as error:
                failure = str(error)
                break
            taken.append(parcel)
            if delivery.pusher.pushkey in rejected:
                log.info("push.rejected pusher=%s", delivery.pusher.pusher_id)
                await self._outbox.end(delivery.pusher)
                return True
        badge = await self._outbox.cross_off(delivery, taken)
        if not badge:
            self._told(delivery)
        if failure:
            log.warning("push.gateway_failed url=%s error=%s", delivery.url, failure)
        return not failure

    def _delay_s(self, pusher_id: int) -> float:
        failures = self._failures.get(pusher_id, 0)
        self._failures[pusher_id] = failures + 1
        # The exponent is bounded: the number would become longer than any time.
        delay_ms = self._times.retry_first_ms * 2 ** min(failures, 30)
        return float(min(delay_ms, self._times.retry_max_ms)) / 1000


async def push_notifications(
    queue: PushQueue, outbox: PushOutbox, gateways: Gateways, times: Push
) -> None:
    """Run for ever."""

    def told(delivery: Delivery) -> None:
        queue.told(delivery.pusher.user_id, delivery.last)

    lanes = Lanes(outbox, gateways, told, times)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(lanes.run(), name="push lanes")
            await _fill(queue, lanes.add)
    finally:
        await gateways.close()


async def _fill(queue: PushQueue, add: Callable[[Iterable[int]], None]) -> None:
    while True:
        await queue.wait()
        try:
            add(await queue.fill())
        except (StorageUnavailable, StorageError) as error:
            log.warning("push.queue_failed error=%s", error)
            await asyncio.sleep(FAULT_S)
            queue.wake()
        if queue.is_waiting_for_turn:
            await asyncio.sleep(TURN_S)
            queue.wake()
