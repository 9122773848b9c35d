"""What is measured, and the bar for each: issue #2, "Speed and memory it must reach"."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Work:
    """One row of the table. The servers may do different amounts of it, but the same unit."""

    key: str
    title: str
    scenario: list[str]
    figure: str  # the generator's figure that is compared: server CPU for one unit, in ms
    bar_ms: float
    bar_ratio: float | None = None  # how many times less CPU than Synapse
    tidings: list[str] = field(default_factory=list)
    synapse: list[str] | None = None  # None: measured on Tidings only


# {duration} and {history} are put in by the runner: less with --quick. Synapse gets a number of messages
# where it is slow, so that a run ends; its cost of one message does not depend on how many.
WORKS = [
    Work(
        "send",
        "send, 10 at once: one message",
        ["send", "--concurrency", "10"],
        "server_cpu_ms_per_message",
        0.6,
        40,
        tidings=["--duration", "{duration}"],
        synapse=["--duration", "{duration}"],
    ),
    Work(
        "deliver-100",
        "long poll, 100 members: one delivery",
        ["deliver", "--members", "100", "--seed", "100"],
        "server_cpu_ms_per_delivery",
        0.15,
        60,
        tidings=["--duration", "{duration}"],
        synapse=["--messages", "15"],
    ),
    Work(
        "deliver-500",
        "long poll, 500 members: one delivery",
        ["deliver", "--members", "500", "--seed", "500"],
        "server_cpu_ms_per_delivery",
        0.15,
        60,
        tidings=["--duration", "{duration}"],
        synapse=["--messages", "5"],
    ),
    Work(
        "websocket-500",
        "WebSocket, 500 members: one delivery",
        ["deliver", "--members", "500", "--seed", "500", "--transport", "websocket"],
        "server_cpu_ms_per_delivery",
        0.03,
        tidings=["--duration", "{duration}"],
    ),
    Work(
        "scattered",
        "long poll, 50 rooms of 10: one delivery",
        ["many-rooms", "--rooms", "50", "--members", "10"],
        "server_cpu_ms_per_delivery",
        0.25,
        tidings=["--duration", "{duration}"],
    ),
    Work(
        "initial-sync",
        "initial sync, 100 rooms of 20 events",
        ["initial-sync", "--rooms", "100", "--messages", "50", "--users", "10"],
        "server_cpu_ms_per_sync",
        80,
        20,
        synapse=[],
    ),
    Work(
        "history",
        "history, a page of 100 events",
        ["history", "--messages", "{history}"],
        "server_cpu_ms_per_page",
        4.5,
        30,
        synapse=[],
    ),
]

IDLE_GROWTH_MB_MAX = 30
IDLE_CPU_PERCENT_MAX = 1
RESIDENT_MB_MAX = 110
SINGLE_KEYS = ("resident", "idle", "growth")  # measured on Tidings only, in ways of their own
