# ruff: noqa: T201
"""The service: from an upload to its finding, films a second beside `pleura predict`, and memory over time.

    python benchmarks/serve.py FILMS --bundle BUNDLE [--films N] [--clients 1 8] [--minutes N] [--pause S]

FILMS is a folder of film files, no two alike, and at least as many as --films; each is sent with bytes of
its own behind it, so that none is known already.
A real service is started on loopback. Latency: each client sends a film and waits on the live channel until
it is judged, as the page does. Throughput: all films in uploads of 50, against `pleura predict` on the same
files and cores, in turns. Memory: the service and its processes, under the load of one client.
"""

import argparse
import json
import os
import queue
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

UPLOAD = 50
ENDINGS = {".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"}


class Service:
    """A service in a store of its own."""

    def __init__(self, bundle: Path, store: Path, workers: int) -> None:
        command = [sys.executable, "-m", "pleura.cli", "serve", "--bundle", str(bundle), "--port", "0",
                   "--store", str(store), "--workers", str(workers)]  # fmt: skip
        start = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        found = re.search(r"http://\S+", self.process.stdout.readline())
        self.url = found[0]
        print(f"start: {time.perf_counter() - start:.1f} s")

    def send(self, session: requests.Session, files: list[bytes]) -> dict[str, Any]:
        parts = [("files", (f"{n}.dcm", data)) for n, data in enumerate(files)]
        answer = session.post(f"{self.url}/v1/films", files=parts, timeout=600)
        answer.raise_for_status()
        return answer.json()

    def megabytes(self) -> float:
        """Memory of the service and its processes, shared pages counted once (PSS)."""
        total = 0
        for pid in [self.process.pid, *children(self.process.pid)]:
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += int(re.search(r"Pss:\s+(\d+)", text)[1])
        return total / 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(one) for one in (task / "children").read_text().split()]
    return found + [below for one in found for below in children(one)]


class Films:
    """Films that were never sent before: the same ones with other bytes behind."""

    def __init__(self, folder: Path) -> None:
        self.paths = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in ENDINGS]
        self._sent, self._lock = 0, threading.Lock()

    def next(self) -> bytes:
        with self._lock:
            number, self._sent = self._sent, self._sent + 1
        return self.paths[number % len(self.paths)].read_bytes() + number.to_bytes(8, "little")


class Judged:
    """Listens on the live channel for films that were judged."""

    def __init__(self, url: str) -> None:
        self._waiting: dict[str, queue.Queue[float]] = {}
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()
        answer = requests.get(f"{url}/v1/events", stream=True, timeout=3600)
        threading.Thread(target=self._listen, args=(answer,), daemon=True).start()

    def _listen(self, answer: requests.Response) -> None:
        with suppress(requests.RequestException):  # the service's end
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                if line.startswith("data: "):
                    self._told(json.loads(line[6:]))

    def _told(self, film: dict[str, Any]) -> None:
        if film.get("state", "waiting") == "waiting":
            return
        with self._lock:
            self._seen[film["id"]] = time.perf_counter()
            if film["id"] in self._waiting:
                self._waiting[film["id"]].put(self._seen[film["id"]])

    def wait(self, film: str) -> float:
        with self._lock:
            if film in self._seen:
                return self._seen[film]
            mine = self._waiting[film] = queue.Queue()
        return mine.get(timeout=600)


def latency(service: Service, films: Films, clients: int, count: int) -> None:
    """Prints how long a film takes from the start of its upload to its finding."""
    judged, taken, lock = Judged(service.url), [], threading.Lock()

    def client() -> None:
        session = requests.Session()
        for _ in range(count // clients):
            data = films.next()
            start = time.perf_counter()
            (film,) = service.send(session, [data])["film_ids"]
            end = judged.wait(film)
            with lock:
                taken.append(1e3 * (end - start))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cuts = statistics.quantiles(taken, n=20)
    print(f"{clients} clients, {len(taken)} films: p50 {cuts[9]:.0f} ms, p95 {cuts[18]:.0f} ms")


def throughput(service: Service, films: Films, count: int) -> float:
    """Films a second through the API, in uploads of `UPLOAD`."""
    session, jobs, start = requests.Session(), [], time.perf_counter()
    for first in range(0, count, UPLOAD):
        sent = [films.next() for _ in range(min(UPLOAD, count - first))]
        jobs.append(service.send(session, sent)["id"])
    while any(
        session.get(f"{service.url}/v1/jobs/{job}", timeout=60).json()["state"] != "done"
        for job in jobs
    ):
        time.sleep(0.1)
    return count / (time.perf_counter() - start)


def predict(bundle: Path, films: Films, count: int, scratch: Path) -> float:
    """Films a second of `pleura predict`, its start taken off by a run on one film."""
    folder = scratch / "in"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for n in range(count):
        (folder / f"{n}.dcm").write_bytes(films.next())

    def seconds(what: Path) -> float:
        out = scratch / "out"
        shutil.rmtree(out, ignore_errors=True)
        verb = [sys.executable, "-m", "pleura.cli", "predict", str(what)]
        command = [*verb, "--bundle", str(bundle), "--out", str(out)]
        start = time.perf_counter()
        subprocess.run([*command, "--no-overlays"], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start

    return (count - 1) / (seconds(folder) - seconds(folder / "0.dcm"))


def memory(service: Service, films: Films, minutes: float, pause: float) -> None:
    """Prints the service's memory while one client sends film after film, `pause` s apart."""
    session, start, told, sent = requests.Session(), time.monotonic(), 0.0, 0
    while (passed := time.monotonic() - start) < 60 * minutes:
        service.send(session, [films.next()])
        sent += 1
        if passed >= told:
            print(f"{passed / 60:5.1f} min, {sent} films sent: {service.megabytes():.0f} MiB")
            told += 6 * minutes
        time.sleep(pause)
    print(f"{minutes:5.1f} min, {sent} films sent: {service.megabytes():.0f} MiB")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    films = Films(given.folder)
    if len(films.paths) < given.films:  # `pleura predict` judges films of the same pixels once
        raise SystemExit(f"{given.folder} holds {len(films.paths)} films; give --films so many")
    with tempfile.TemporaryDirectory(prefix="pleura-serve-") as name:
        scratch = Path(name)
        service = Service(given.bundle, scratch / "store", given.workers)
        try:
            print(f"memory at the start: {service.megabytes():.0f} MiB; cores: {os.cpu_count()}")
            for clients in given.clients:
                latency(service, films, clients, given.films)
            ratios = []
            for _ in range(given.rounds):
                through = throughput(service, films, given.films)
                alone = predict(given.bundle, films, given.films, scratch)
                ratios.append(through / alone)
                print(f"API {through:.1f} films/s, predict {alone:.1f}: {100 * ratios[-1]:.0f} %")
            print(f"API of predict, median: {100 * statistics.median(ratios):.0f} %")
            memory(service, films, given.minutes, given.pause)
        finally:
            service.stop()


if __name__ == "__main__":
    main()
