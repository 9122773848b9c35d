"""Who sent what, and who has seen it: nothing lost, duplicated or misordered.

Each sender has at most one message in flight in a room, so the order in which
the server accepted one sender's messages is the order of their numbers. Every
member must see every number of every sender exactly once and in that order.
"""

import time
from array import array

PADDING = "The quick brown fox jumps over the lazy dog while the band plays on. "


class View:
    """What one member has seen of one room."""

    __slots__ = ("ahead", "next_number", "position", "received")

    def __init__(self) -> None:
        self.next_number: dict[str, int] = {}
        self.ahead: set[tuple[str, int]] = set()
        self.position = 0
        self.received = 0


class RoomLedger:
    """The messages of this run in one room."""

    def __init__(self, run: str, room_id: str, members: list[str], padding: int = 100) -> None:
        self.room_id = room_id
        self.mark = f"load-{run}|"
        self.padding = (PADDING * (padding // len(PADDING) + 1))[:padding]
        self.views = {member: View() for member in members}
        self.started: dict[tuple[str, int], float] = {}
        self.event_ids: dict[tuple[str, int], str] = {}
        self.accepted: dict[tuple[str, int], str] = {}
        self.numbers: dict[str, int] = {}
        self.order: list[str] = []
        self.latencies = array("d")
        self.duplicated = self.misordered = self.corrupted = self.diverged = 0
        self.received = 0
        self.last_seen_at = 0.0

    def next_message(self, sender: str) -> tuple[tuple[str, int], str]:
        """The key and the text of the sender's next message."""
        number = self.numbers.get(sender, 0)
        self.numbers[sender] = number + 1
        return (sender, number), f"{self.mark}{sender}|{number}|{self.padding}"

    def sending(self, key: tuple[str, int]) -> None:
        self.started[key] = time.perf_counter()

    def was_accepted(self, key: tuple[str, int], event_id: str) -> None:
        self.accepted[key] = event_id

    def knows(self, view: View, event: dict) -> bool:
        """Whether the member has already seen this message of this run."""
        body = event.get("content", {}).get("body", "")
        if not isinstance(body, str) or not body.startswith(self.mark):
            return False
        _, sender, number, _ = body.split("|", 3)
        return int(number) < view.next_number.get(sender, 0) or (sender, int(number)) in view.ahead

    def observe(self, view: View, event: dict, now: float | None) -> None:
        """A member saw an event; pass now=None where delivery time means nothing."""
        body = event["content"].get("body")
        if not isinstance(body, str) or not body.startswith(self.mark):
            return
        _, sender, text, padding = body.split("|", 3)
        number = int(text)
        key = (sender, number)
        event_id = event["event_id"]
        started = self.started.get(key)
        known = self.event_ids.get(key)
        if known is None:
            self.event_ids[key] = event_id
            self.order.append(event_id)
        if (
            started is None
            or padding != self.padding
            or (known is not None and known != event_id)
            or event["sender"] != sender
        ):
            self.corrupted += 1
            return
        expected = view.next_number.get(sender, 0)
        if number == expected:
            expected += 1
            if view.ahead:
                while (sender, expected) in view.ahead:
                    view.ahead.discard((sender, expected))
                    expected += 1
            view.next_number[sender] = expected
        elif number < expected or key in view.ahead:
            self.duplicated += 1
            return
        else:
            view.ahead.add(key)
            self.misordered += 1
        if self.order[view.position] != event_id:
            self.diverged += 1
        view.position += 1
        view.received += 1
        self.received += 1
        if now is not None:
            self.latencies.append(now - started)
            self.last_seen_at = now

    @property
    def expected(self) -> int:
        return len(self.accepted) * len(self.views)

    def complete(self) -> bool:
        return self.received >= self.expected

    def wrong_ids(self) -> int:
        """Messages whose answered event id is not the one members saw."""
        return sum(
            1
            for key, event_id in self.accepted.items()
            if self.event_ids.get(key, event_id) != event_id
        )


def verdict(ledgers: list[RoomLedger], failed_sends: int = 0) -> dict:
    """The check over all rooms of a run; `ok` is what makes its figures count."""
    expected = sum(l.expected for l in ledgers)
    received = sum(l.received for l in ledgers)
    unaccepted = sum(1 for l in ledgers for key in l.event_ids if key not in l.accepted)
    figures = {
        "expected": expected,
        "received": received,
        "lost": sum(
            1
            for l in ledgers
            if not l.complete()
            for view in l.views.values()
            for key in l.accepted
            if key[1] >= view.next_number.get(key[0], 0) and key not in view.ahead
        ),
        "duplicated": sum(l.duplicated for l in ledgers),
        "misordered": sum(l.misordered for l in ledgers),
        "corrupted": sum(l.corrupted + l.wrong_ids() for l in ledgers) + unaccepted,
        "failed_sends": failed_sends,
    }
    bad = sum(figures[k] for k in ("lost", "duplicated", "misordered", "corrupted", "failed_sends"))
    # Not a fault by itself (a gap is filled in topological order), but worth seeing.
    figures["order_differs_between_members"] = sum(l.diverged for l in ledgers)
    figures["ok"] = bad == 0 and expected > 0
    return figures
