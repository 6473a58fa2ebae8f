"""What the server must show: parallel streams, flat memory, its own time to the first byte, and kills under load.

A server runs in a process of its own with a store of its own; the model comes from the default store.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

SMALL = "smollm2-135m-instruct"
SCHEMA = {
    "type": "object",
    "properties": {
        "number": {"type": "string", "maxLength": 20},
        "seller": {"type": "string", "maxLength": 60},
        "buyer": {"type": "string", "maxLength": 60},
        "total": {"type": "number"},
    },
    "required": ["number", "seller", "buyer", "total"],
    "additionalProperties": False,
}
PROGRAM = "from local_retab.cli import main; main()"
ENDED = ("completed", "failed", "cancelled")
LEGAL = {"pending", "queued", "in_progress", *ENDED}

app = typer.Typer(help=__doc__, no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on the last line")]


def invoice(place: int) -> str:
    return (
        f"INVOICE INV-2026-{place:05d}\nSeller: Harbour Books {place} Ltd\nBuyer: Ada Lovelace {place}\n"
        f"Total: {100 + place}.50 EUR\n"
    )


def body(place: int, **fields: Any) -> dict[str, Any]:
    document = {"filename": f"{place}.txt", "url": "data:text/plain," + invoice(place)}
    return {"document": document, "json_schema": SCHEMA, "bust_cache": True, **fields}


class Server:
    """A ``local-retab serve`` that can be killed and started again on the same store and port."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = {**os.environ, "LOCAL_RETAB_HOME": str(self.home), "LOCAL_RETAB_MODEL_SMALL": SMALL}
        # -P: the package of this environment, whatever folder the command is given in.
        command = [sys.executable, "-P", "-c", PROGRAM, "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return
        raise RuntimeError("the server did not start")

    def pids(self) -> list[int]:
        """The server, then its worker."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        workers = [int(child) for child in children if "resource_tracker" not in command_line(int(child))]
        return [self.process.pid, *workers]

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait()

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, headers={"Authorization": "Bearer any"}, timeout=300)


def command_line(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


@contextmanager
def home() -> Iterator[Path]:
    """A store of its own with the models of the default one."""
    from local_retab import Settings

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "models").symlink_to(Settings.from_environment().home / "models")
        yield Path(folder)


@contextmanager
def server() -> Iterator[Server]:
    with home() as folder:
        running = Server(folder)
        running.start()
        try:
            with running.client() as client:
                client.post("/v1/extractions", json=body(0)).raise_for_status()
            yield running
        finally:
            running.stop()


def read_stream(client: httpx.Client, place: int) -> list[dict[str, Any]]:
    with client.stream("POST", "/v1/extractions/stream", json=body(place)) as answer:
        answer.raise_for_status()
        return [json.loads(line) for line in answer.iter_lines() if line]


def whole(lines: list[dict[str, Any]]) -> bool:
    """Whether a stream is complete, valid, and never took back what it showed."""
    import jsonschema

    from local_retab.extraction.partial import extends

    jsonschema.validate(lines[-1]["output"], SCHEMA)
    outputs = [line["output"] for line in lines]
    grows = all(extends(later, earlier) for earlier, later in itertools.pairwise(outputs))
    return grows and lines[-1]["status"] == "completed"


def show(result: dict[str, Any], as_json: bool) -> None:
    for name, value in result.items():
        print(f"{name.replace('_', ' ')}: {value}")
    if as_json:
        print(json.dumps(result))


@app.command()
def streams(as_json: AsJson = False) -> None:
    """Eight streams at once beside one alone, of each the median of three."""
    with server() as running, running.client() as client:

        def timed(places: range) -> float:
            started = time.perf_counter()
            with ThreadPoolExecutor(len(places)) as pool:
                lines.extend(pool.map(lambda place: read_stream(client, place), places))
            return time.perf_counter() - started

        # Answers as long as one another: all numbers have as many digits.
        lines: list[list[Any]] = []
        read_stream(client, 20)
        alone, together = [], []
        for first in (21, 41, 61):
            alone.append(timed(range(first, first + 1)))
            together.append(timed(range(first + 1, first + 9)))
    show(
        {
            "one_alone_seconds": round(statistics.median(alone), 2),
            "eight_parallel_seconds": round(statistics.median(together), 2),
            "ratio": round(statistics.median(together) / statistics.median(alone), 2),
            "complete_valid_monotone": sum(map(whole, lines)),
            "of": len(lines),
        },
        as_json,
    )


@app.command()
def memory(requests: int = 200, as_json: AsJson = False) -> None:
    """Resident memory of server and worker over many requests."""
    samples: list[tuple[int, int]] = []
    with server() as running, running.client() as client:
        for place in range(requests + 1):
            if place % 20 == 0:
                main_pid, worker_pid = running.pids()
                samples.append((resident(main_pid) >> 20, resident(worker_pid) >> 20))
            client.post("/v1/extractions", json=body(place)).raise_for_status()
    show({"requests": requests, "server_mib": [s for s, _ in samples], "worker_mib": [w for _, w in samples]}, as_json)


@app.command()
def first_byte(rounds: int = 40, as_json: AsJson = False) -> None:
    """The time to the first chunk over HTTP with the engine in a worker, beside the client in process."""
    from local_retab import MIMEData, Retab, Settings

    over_http: list[float] = []
    in_process: list[float] = []
    with server() as running, running.client() as client, home() as folder:
        own = Retab(Settings.from_environment(home=folder, model_small=SMALL))
        document = MIMEData(filename="1.txt", url="data:text/plain," + invoice(1))

        # Streams are read to their end: what is left of one that was hung up would run beside the next.
        def local() -> float:
            started = time.perf_counter()
            with own.extractions.create_stream(document, SCHEMA, bust_cache=True) as stream:
                next(stream)
                taken = time.perf_counter() - started
                stream.final()
            return taken

        def remote() -> float:
            started = time.perf_counter()
            with client.stream("POST", "/v1/extractions/stream", json=body(1)) as answer:
                chunks = answer.iter_raw()
                next(chunks)
                taken = time.perf_counter() - started
                deque(chunks, maxlen=0)
            return taken

        for _ in range(3):
            local(), remote()
        # In turns, so that whatever else the machine does meets both.
        for _ in range(rounds):
            for times, one in ((in_process, local), (over_http, remote)):
                # Threads of the engine that had its turn look for more work for some 8 ms, with a whole processor.
                time.sleep(0.05)
                times.append(one())
        own.close()
    medians = statistics.median(in_process), statistics.median(over_http)
    show(
        {
            "rounds": rounds,
            "in_process_ms": round(1000 * medians[0], 2),
            "over_http_ms": round(1000 * medians[1], 2),
            "overhead_ms": round(1000 * (medians[1] - medians[0]), 2),
        },
        as_json,
    )


@app.command()
def kills(
    count: int = 30,
    seed: int = 1,
    gap: Annotated[tuple[float, float], typer.Option(help="Shortest and longest seconds from kill to kill")] = (1, 15),
    as_json: AsJson = False,
) -> None:
    """Kill the server or its worker at random moments under mixed load; then look at what became of every request.

    With short gaps hardly a request ends before it was interrupted twice; with long ones hardly one is interrupted.
    """
    chance = random.Random(seed)
    accepted: list[str] = []
    lock = threading.Lock()
    done = threading.Event()
    killed = {"server": 0, "worker": 0}
    with home() as folder:
        running = Server(folder)
        running.start()

        def background(client: httpx.Client, place: int) -> None:
            answer = client.post("/v1/extractions", json=body(place, background=True))
            if answer.status_code == 201:
                with lock:
                    accepted.append(answer.json()["id"])

        def load(number: int) -> None:
            work: list[Callable[[httpx.Client, int], object]] = [
                background,
                read_stream,
                lambda client, _place: client.get("/v1/extractions", params={"limit": 3}),
            ]
            place = number * 100_000
            while not done.is_set():
                place += 1
                with suppress(httpx.HTTPError, ValueError), running.client() as client:
                    work[place % 3](client, place)
                done.wait(0.3)

        loads = [threading.Thread(target=load, args=(number,), daemon=True) for number in range(3)]
        for thread in loads:
            thread.start()
        for _ in range(count):
            time.sleep(chance.uniform(*gap))
            _, *workers = running.pids()
            if workers and chance.random() < 0.5:
                killed["worker"] += 1
                with suppress(ProcessLookupError):
                    os.kill(workers[0], signal.SIGKILL)
            else:
                killed["server"] += 1
                running.stop(signal.SIGKILL)
                running.start()
        done.set()
        for thread in loads:
            thread.join()
        statuses = settle(running, accepted)
        running.stop()
        with sqlite3.connect(folder / "local_retab.sqlite3") as connection:
            integrity = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            broken_keys = connection.execute("PRAGMA foreign_key_check").fetchall()
            rows = connection.execute("SELECT id, status, attempts, filename, body FROM records").fetchall()
    ended = [row for row in rows if row[0] in statuses]
    errors = [json.loads(row[4])["error"] for row in ended if row[1] == "failed"]
    show(
        {
            "killed": killed,
            "accepted_in_background": len(accepted),
            "completed": sum(row[1] == "completed" for row in ended),
            "completed_at_second_attempt": sum(row[1] == "completed" and row[2] > 1 for row in ended),
            "failed_with_code": dict(Counter(error["code"] for error in errors if error)),
            "failed_without_code": sum(not error for error in errors),
            "cancelled": sum(row[1] == "cancelled" for row in ended),
            "lost": len(accepted) - len(ended),
            # Every request has a filename of its own.
            "doubled": len(rows) - len({row[3] for row in rows}),
            "not_ended": sum(status not in ENDED for status in statuses.values()),
            "records": len(rows),
            "illegal_states": sum(row[1] not in LEGAL for row in rows),
            "left_open": sum(row[1] not in ENDED for row in rows),
            "most_attempts": max(row[2] for row in rows),
            "integrity": integrity,
            "broken_foreign_keys": len(broken_keys),
        },
        as_json,
    )


def settle(running: Server, accepted: list[str], seconds: float = 300.0) -> dict[str, str]:
    """Wait until everything that was accepted has ended; status by id."""
    statuses = dict.fromkeys(accepted, "unknown")
    end = time.monotonic() + seconds
    with running.client() as client:
        while time.monotonic() < end and any(status not in ENDED for status in statuses.values()):
            for record_id, status in statuses.items():
                if status not in ENDED:
                    found = client.get(f"/v1/extractions/{record_id}", params={"include_output": "false"})
                    statuses[record_id] = found.json()["status"] if found.status_code == 200 else "lost"
            time.sleep(0.5)
    return statuses


if __name__ == "__main__":
    app()
