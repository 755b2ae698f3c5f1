"""What the service counts and times, for Prometheus."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from pleura.inference.manifest import BundleManifest

STAGES = ("receive", "wait", "decode", "judge", "keep")
"""A film's way: received and safe on the disk, waiting for its turn, decoded, judged, kept."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_TENTHS = tuple(n / 10 for n in range(1, 11))


class Metrics:
    """The service's numbers; `text()` is what `/metrics` answers.

    The histogram of probabilities and the counts of decisions show drift: a model that meets other films than
    it was made for says so there first. `refer` gives what to compare them with.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.stage_seconds = Histogram(
            "pleura_stage_seconds",
            "Time of a film in each stage",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.requests = Histogram(
            "pleura_request_seconds",
            "Time of HTTP requests",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.films = Counter(
            "pleura_films", "Films by what became of them", ["state"], registry=self.registry
        )
        self.refused = Counter(
            "pleura_refused_files", "Files of uploads that are no films", registry=self.registry
        )
        self.repeated = Counter(
            "pleura_repeated_films", "Films that came again", registry=self.registry
        )
        self.probability = Histogram(
            "pleura_probability",
            "Probabilities of judged films",
            buckets=_TENTHS,
            registry=self.registry,
        )
        self.corrections = Counter(
            "pleura_corrections",
            "What readers said, by the model's decision",
            ["verdict", "state"],
            registry=self.registry,
        )
        self.broken = Counter(
            "pleura_decoders_replaced",
            "Processes that opened files and hung, died or grew too large",
            registry=self.registry,
        )
        self.results = Counter(
            "pleura_results",
            "DICOM results of films by what became of them: sent, tried, dropped",
            ["outcome"],
            registry=self.registry,
        )
        self.undelivered = Gauge(
            "pleura_waiting_results", "Results that are not yet sent", registry=self.registry
        )
        self.model = Info("pleura_model", "The model that judges films", registry=self.registry)
        self.reference = Gauge(
            "pleura_reference_positive_share",
            "Share that the model called positive of the films its operating point was fitted on",
            ["fitted_on"],
            registry=self.registry,
        )
        self.waiting = Gauge("pleura_waiting_films", "Films that wait", registry=self.registry)
        self.unread = Gauge("pleura_unread_films", "Films nobody has read", registry=self.registry)
        self.stored = Gauge("pleura_stored_bytes", "Bytes of films kept", registry=self.registry)
        self.free = Gauge("pleura_free_bytes", "Bytes the disk has left", registry=self.registry)

    def refer(self, manifest: BundleManifest) -> None:
        """Takes from a bundle's record what share of films its model called positive, where it says so."""
        fitted_on = manifest.operating_point.fitted_on
        facts = manifest.metrics.get(fitted_on)
        if not isinstance(facts, Mapping):
            return
        said: list[Any] = [
            facts.get(name) for name in ("n", "positives", "sensitivity", "specificity")
        ]
        if all(isinstance(one, int | float) for one in said) and said[0] > 0:
            n, positives, found, spared = said
            called = found * positives + (1 - spared) * (n - positives)
            self.reference.labels(fitted_on).set(called / n)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What runs inside is a film's stage `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stage_seconds.labels(name).observe(time.perf_counter() - start)

    def text(self) -> bytes:
        """All numbers in Prometheus's text format."""
        return generate_latest(self.registry)
