"""The table of one comparison, on the screen and as a file to commit."""

import json
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .works import IDLE_CPU_PERCENT_MAX, IDLE_GROWTH_MB_MAX, RESIDENT_MB_MAX, Work

RESULTS = Path(__file__).parent / "results"
HEAD = ("work", "Synapse", "Tidings", "ratio", "bar", "met")
DETAILS = (
    "messages_per_s",
    "deliveries_per_s",
    "send_p50_ms",
    "send_p95_ms",
    "delivery_p50_ms",
    "delivery_p95_ms",
    "alone_first_ms",
    "together_p50_ms",
    "page_p50_ms",
    "events_per_s",
    "server_memory_mb",
    "generator_cpu_s",
    "other_cpu_s",
)


@dataclass(frozen=True)
class Row:
    work: str
    synapse: str
    tidings: str
    ratio: str
    bar: str
    met: str

    def cells(self) -> tuple[str, ...]:
        return (self.work, self.synapse, self.tidings, self.ratio, self.bar, self.met)


def median(runs: list[dict], figure: str) -> float | None:
    """The median over the runs, or None when a run is missing or not valid."""
    values = [run.get(figure) for run in runs]
    if not runs or any(run["verdict"] != "ok" for run in runs) or None in values:
        return None
    return statistics.median(values)


def compared(work: Work, runs: dict[str, list[dict]]) -> Row:
    """The row of a work that both servers did (or Tidings alone)."""
    ours = median(runs.get("tidings", []), work.figure)
    theirs = median(runs.get("synapse", []), work.figure)
    ratio = theirs / ours if theirs and ours else None
    bar = f"≤ {work.bar_ms:g} ms"
    if work.bar_ratio:
        bar = f"≥ {work.bar_ratio:g} × (about {work.bar_ms:g} ms)"
    if ours is None:
        met = "not valid" if runs.get("tidings") else "-"
    elif ratio is not None and work.bar_ratio:
        met = _yes(ratio >= work.bar_ratio)
    else:
        met = _yes(ours <= work.bar_ms)
    return Row(work.title, _ms(theirs), _ms(ours), f"{ratio:.0f} ×" if ratio else "-", bar, met)


def resident_row(figures: dict) -> Row:
    ours, theirs = figures["tidings_mb"], figures.get("synapse_mb")
    return Row(
        "resident memory, empty database",
        f"{theirs:.0f} MB" if theirs else "-",
        f"{ours:.0f} MB",
        f"{theirs / ours:.1f} ×" if theirs else "-",
        f"< {RESIDENT_MB_MAX} MB",
        _yes(ours < RESIDENT_MB_MAX),
    )


def idle_rows(run: dict) -> list[Row]:
    if run["verdict"] != "ok":
        return [Row("1,000 idle long polls", "-", "-", "-", "", "not valid")]
    growth = run["memory_holding_mb"] - run["memory_before_mb"]
    percent = run["server_cpu_s_per_min"] / 60 * 100
    return [
        Row(
            "1,000 idle long polls: growth", "-", f"{growth:.1f} MB", "-",
            f"< {IDLE_GROWTH_MB_MAX} MB", _yes(growth < IDLE_GROWTH_MB_MAX),
        ),
        Row(
            "1,000 idle long polls: CPU", "-", f"{percent:.2f} % of a core", "-",
            f"< {IDLE_CPU_PERCENT_MAX} %", _yes(percent < IDLE_CPU_PERCENT_MAX),
        ),
    ]  # fmt: skip


def growth_rows(run: dict) -> list[Row]:
    """An incremental sync with much and with little there: queries, from memory and after a restart."""
    if run["verdict"] != "ok":
        return [Row("incremental sync, 10 against 1,000", "-", "-", "-", "", "not valid")]
    rows = []
    for what in ("rooms", "members"):
        cells = []
        for size in ("few", "many"):
            name = f"{what}_{size}"
            queries = f"{run.get(f'queries_{name}')}+{run.get(f'cold_queries_{name}')}"
            cells.append((queries, run[f"server_cpu_ms_per_sync_{name}"]))
        (few, few_ms), (many, many_ms) = cells
        met = "not told" if "None" in few + many else _yes(few == many)
        rows.append(
            Row(
                f"incremental sync, 10 → {run[what]:,} {what}: queries (memory+restart), CPU", "-",
                f"{few} → {many}, {few_ms:.2f} → {many_ms:.2f} ms", "-", "same queries", met,
            )
        )  # fmt: skip
    return rows


def _yes(value: bool) -> str:
    return "yes" if value else "NO"


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def as_text(rows: list[Row]) -> str:
    """A Markdown table, padded so that it also reads well on a screen."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths)] for line in lines]
    texts = [f"| {' | '.join(cells)} |" for cells in padded]
    texts.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(texts)


def machine(synapse_version: str) -> dict[str, str]:
    """What the figures were taken on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "processor": f"{os.cpu_count()} cores, {model}",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "synapse": synapse_version,
        "tidings": commit,
    }


def write(date: str, facts: dict[str, str], rows: list[Row], raw: dict) -> Path:
    """benchmarks/results/<date>.md and .json; the path of the former."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{date}.json").write_text(
        json.dumps({"machine": facts, "runs": raw}, indent=1, sort_keys=True) + "\n"
    )
    text = [
        f"# Measured on {date}",
        "",
        "Server CPU for one unit of work, medians of interleaved runs; a row counts only when",
        "nothing was lost, doubled or reordered in any run. Made by `scripts/bench`.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        as_text(rows),
        "",
        "## Also measured (medians)",
        "",
        *_details(raw),
    ]
    path = RESULTS / f"{date}.md"
    path.write_text("\n".join(text) + "\n")
    return path


def _details(raw: dict) -> list[str]:
    lines = ["| work | server | figures |", "|---|---|---|"]
    for key, servers in raw.items():
        if not isinstance(servers, dict):
            continue
        for name, runs in servers.items():
            if not isinstance(runs, list):
                continue
            figures = {figure: median(runs, figure) for figure in DETAILS}
            shown = ", ".join(f"{k} {v:g}" for k, v in figures.items() if v is not None)
            lines.append(f"| {key} | {name} | {shown or 'not valid'} |")
    return lines
