"""What uploads may fill, and what becomes of films that cannot be judged now."""

import errno
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from a_service import png, zipped
from pleura.finding import Finding
from pleura.inference.manifest import BundleManifest, Member
from pleura.inference.preprocess import InputSpec
from pleura.radiograph import Radiograph
from pleura.read import Limits
from pleura.service.decoding import Decoders
from pleura.service.folders import Folders
from pleura.service.judging import Judge
from pleura.service.metrics import Metrics
from pleura.service.problems import Refused
from pleura.service.settings import Bounds, Settings
from pleura.service.store import Store
from pleura.service.uploads import Sent, Uploads


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store")
    yield made
    made.close()


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    made = Decoders(1)
    yield made
    made.stop()


def sent(name: str, data: bytes) -> Sent:
    return Sent(name, io.BytesIO(data))


class Failing:
    """A detector whose library fails over one film."""

    manifest = BundleManifest("x", "1", (Member("unet_timm", {}, InputSpec(32)),))

    def __call__(self, film: Radiograph) -> Finding:
        raise RuntimeError("a runtime's own error, which may quote a patient")


def test_whatever_a_runtime_raises_only_its_film_fails(store: Store, decoders: Decoders) -> None:
    settings = Settings(store.folders.root, store.folders.root)
    _, tasks = Uploads(settings, store, decoders, Metrics()).receive([sent("a.png", png(3))])
    ((film,),) = tasks.values()
    Judge(store, Failing(), decoders, Metrics(), Limits())(film)  # type: ignore[arg-type]
    row = store.film(film)
    assert row is not None
    assert row["state"] == "failed"
    assert (
        row["reason"]
        == "it could not be judged (RuntimeError); have it judged again to try once more"
    )


def test_a_film_over_which_the_disk_is_full_waits_for_room(
    store: Store, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Failing):
        def __call__(self, film: Radiograph) -> Finding:
            raise OSError(errno.ENOSPC, "No space left on device")

    settings = Settings(store.folders.root, store.folders.root)
    _, tasks = Uploads(settings, store, decoders, Metrics()).receive([sent("a.png", png(3))])
    ((film,),) = tasks.values()
    for tries in (1, 1, 1, 1):  # seen to be full, it counts for nothing
        with pytest.raises(OSError, match=r"No space left|the disk is full"):
            Judge(store, Full(), decoders, Metrics(), Limits())(film)  # type: ignore[arg-type]
        row = store.film(film)
        assert row is not None
        assert (row["state"], row["tries"], row["reason"]) == ("waiting", tries, None)
        monkeypatch.setattr(store.folders, "room", lambda: 1 << 20)


def test_a_film_that_is_judged_again_has_not_waited_since_it_came(
    store: Store, decoders: Decoders
) -> None:
    metrics = Metrics()
    settings = Settings(store.folders.root, store.folders.root)
    _, tasks = Uploads(settings, store, decoders, metrics).receive([sent("a.png", png(3))])
    ((film,),) = tasks.values()
    judge = Judge(store, Failing(), decoders, metrics, Limits())  # type: ignore[arg-type]
    judge(film)
    assert store.again(film) is not None
    judge(film)

    def taken(stage: str) -> float:
        (found,) = metrics.stage_seconds.labels(stage).collect()
        return next(s.value for s in found.samples if s.name.endswith("_count"))

    assert (taken("decode"), taken("wait")) == (2, 1)


def test_a_film_that_comes_again_while_it_is_judged_waits_for_its_own_turn(
    store: Store, decoders: Decoders
) -> None:
    settings = Settings(store.folders.root, store.folders.root)
    uploads = Uploads(settings, store, decoders, Metrics())

    class Overtaken(Failing):
        def __call__(self, radiograph: Radiograph) -> Finding:
            store.delete([film])
            uploads.receive([sent("a.png", png(3))])
            return super().__call__(radiograph)

    _, tasks = uploads.receive([sent("a.png", png(3))])
    ((film,),) = tasks.values()
    Judge(store, Overtaken(), decoders, Metrics(), Limits())(film)  # type: ignore[arg-type]
    row = store.film(film)
    assert row is not None
    assert (row["state"], row["tries"]) == ("waiting", 0)
    assert store.folders.file(film).read_bytes() == png(3)


def test_zips_of_an_upload_share_its_bounds_and_the_disk(
    store: Store, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [zipped({f"{n}.png": png(n) + bytes(60_000)}) for n in range(3)]
    settings = Settings(store.folders.root, store.folders.root, bounds=Bounds(upload_bytes=150_000))
    uploads = Uploads(settings, store, decoders, Metrics())
    job, tasks = uploads.receive([sent(f"{n}.zip", data) for n, data in enumerate(held)])
    assert sum(map(len, tasks.values())) == 2
    told = store.job(job)
    assert told is not None
    assert [one["name"] for one in told["refused"]] == ["2.zip"]
    free = settings.bounds.free_bytes
    monkeypatch.setattr(Folders, "room", lambda self: free - 1)
    with pytest.raises(Refused, match="no room") as refused:
        uploads.receive([sent("a.png", png(9))])
    assert refused.value.status == 507
    monkeypatch.setattr(Folders, "room", lambda self: free + 10_000)
    with pytest.raises(Refused, match="no film in this upload"):  # the zip does not fit on the disk
        uploads.receive([sent("a.zip", held[0])])
    assert list(store.folders.spool.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_refuses_the_upload(
    store: Store, decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    uploads = Uploads(Settings(store.folders.root, store.folders.root), store, decoders, Metrics())
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(Refused, match="no room") as refused:
        uploads.receive([sent("a.png", png(9))])
    assert refused.value.status == 507
