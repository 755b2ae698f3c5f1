"""A service as its users have it: a process of its own, asked over loopback."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests

TOKEN = "a-token-of-twenty-four-characters"


def png(seed: int, side: int = 160) -> bytes:
    """A film as PNG, another for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 6)).astype(np.uint8)
    return cv2.imencode(".png", cv2.resize(coarse, (side, side)))[1].tobytes()


def zipped(files: dict[str, bytes]) -> bytes:
    """Files as a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class Served:
    """A service that runs, and what to ask it with."""

    def __init__(self, bundle: Path, store: Path, *options: str, token: str | None = None) -> None:
        self.store, self.log = store, store.with_name(f"{store.name}.log")
        self._command = [
            sys.executable, "-W", "error", "-m", "pleura.cli", "serve", "--bundle", str(bundle),
            "--store", str(store), "--port", "0", "--runtime", "onnxruntime", *options,
        ]  # fmt: skip
        self._environment = {**os.environ, **({"PLEURA_TOKEN": token} if token else {})}
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.start()

    def start(self) -> None:
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )
        while not (found := re.search(r"serves at (http://\S+)", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        self.url = found[1]
        self.session = requests.Session()
        self.session.headers.update(self._headers)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.session.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait()

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        return self.session.request(method, self.url + path, timeout=60, **how)

    def get(self, path: str, **how: Any) -> requests.Response:
        return self.ask("GET", path, **how)

    def json(self, path: str, **how: Any) -> Any:
        answer = self.get(path, **how)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def upload(self, *files: bytes, name: str = "film") -> requests.Response:
        parts = [("files", (f"{name}-{n}", data)) for n, data in enumerate(files)]
        return self.ask("POST", "/v1/films", files=parts)

    def judged(self, *files: bytes) -> list[dict[str, Any]]:
        """Uploads films, and gives what is known of each once all are judged."""
        answer = self.upload(*files)
        assert answer.status_code == 202, answer.text
        job = answer.json()
        self.wait_for(job["id"])
        return [self.json(f"/v1/films/{film}") for film in job["film_ids"]]

    def wait_for(self, job: str) -> dict[str, Any]:
        while (found := self.json(f"/v1/jobs/{job}"))["state"] != "done":
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)
        return dict(found)
