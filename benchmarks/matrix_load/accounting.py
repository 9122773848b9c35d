"""CPU and memory of the server's process tree, of this process, and of everything else."""

import os
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _stat_fields(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()  # field 0 here is field 3 of proc(5): the state


class ProcessTree:
    """The given processes and all their descendants."""

    def __init__(self, roots: list[int]) -> None:
        self.roots = roots

    def _members(self) -> dict[int, list[str]]:
        stats: dict[int, list[str]] = {}
        children: dict[int, list[int]] = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (fields := _stat_fields(int(entry))) is not None:
                stats[int(entry)] = fields
                children.setdefault(int(fields[1]), []).append(int(entry))
        found: dict[int, list[str]] = {}
        todo = list(self.roots)
        while todo:
            pid = todo.pop()
            if pid in stats and pid not in found:
                found[pid] = stats[pid]
                todo.extend(children.get(pid, ()))
        return found

    def cpu_seconds(self) -> float:
        """User plus system time, that of ended and reaped children included."""
        return sum(sum(map(int, f[11:15])) for f in self._members().values()) / _TICK

    def memory_bytes(self) -> int:
        """Proportional set size where it can be read, so shared buffers count once."""
        total = 0
        for pid in self._members():
            try:
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
            except OSError:
                try:
                    total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
                except OSError:
                    pass
        return total

    def resident_bytes(self) -> int:
        """Resident set size, shared pages and all: what `ps` and `top` show."""
        return sum(int(fields[21]) * _PAGE for fields in self._members().values())

    def alive(self) -> bool:
        return all(_stat_fields(pid) is not None for pid in self.roots)


def machine_busy_seconds() -> float:
    """CPU seconds spent by the whole machine, stolen time included."""
    with open("/proc/stat") as file:
        fields = list(map(int, file.readline().split()[1:9]))
    return (sum(fields) - fields[3] - fields[4]) / _TICK  # all but idle and iowait


class Window:
    """What was spent between start() and stop()."""

    def __init__(self, tree: ProcessTree | None) -> None:
        self.tree = tree
        self.wall = self.generator = self.server = self.other = 0.0

    def start(self) -> "Window":
        self._at = self._read()
        return self

    def _read(self) -> tuple[float, float, float, float]:
        server = self.tree.cpu_seconds() if self.tree else 0.0
        return time.perf_counter(), time.process_time(), server, machine_busy_seconds()

    def stop(self) -> "Window":
        now = self._read()
        self.wall, self.generator, self.server, machine = (
            after - before for before, after in zip(self._at, now)
        )
        self.other = max(0.0, machine - self.generator - self.server)
        return self

    def report(self) -> dict[str, float]:
        figures = {"wall_s": round(self.wall, 2), "generator_cpu_s": round(self.generator, 2)}
        if self.tree:
            figures["server_cpu_s"] = round(self.server, 2)
            figures["other_cpu_s"] = round(self.other, 2)
            figures["server_memory_mb"] = round(self.tree.memory_bytes() / 1e6, 1)
        return figures
