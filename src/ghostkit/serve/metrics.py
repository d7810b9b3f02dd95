"""The metrics of a server, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """One server's; each server has its own registry, so that several fit into a process."""

    def __init__(
        self, held_bytes: Callable[[], float], decoding_bytes: Callable[[], float]
    ) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "ghostkit_requests",
            "Requests, by address and status",
            ["route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "ghostkit_request_seconds",
            "From a request's first byte to its answer",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.pictures = Counter(
            "ghostkit_pictures",
            "Pictures: answered, refused or failed",
            ["model", "status"],
            registry=self._registry,
        )
        self.batches = Histogram(
            "ghostkit_batch_pictures",
            "Pictures that were answered at once",
            ["model"],
            buckets=_SIZES,
            registry=self._registry,
        )
        self.connections = Gauge(
            "ghostkit_connections", "Connections that are open", registry=self._registry
        )
        self.evictions = Counter(
            "ghostkit_evicted_connections",
            "Silent connections that were closed because too many were open",
            registry=self._registry,
        )
        self._waiting = Gauge(
            "ghostkit_waiting_pictures",
            "Pictures that no thread has taken yet",
            ["model"],
            registry=self._registry,
        )
        self._failures = Gauge(
            "ghostkit_failed_batches",
            "Batches in a row, up to now, that the model failed at",
            ["model"],
            registry=self._registry,
        )
        held = Gauge(
            "ghostkit_held_bytes",
            "Of requests that are read, answered or in a thread",
            registry=self._registry,
        )
        held.set_function(held_bytes)
        decoding = Gauge(
            "ghostkit_decoding_bytes",
            "Of pictures that are being decoded",
            registry=self._registry,
        )
        decoding.set_function(decoding_bytes)

    def watch(
        self, model: str, waiting: Callable[[], float], failures: Callable[[], float]
    ) -> None:
        """Show how many pictures wait for a model, and how many of its batches failed in a row."""
        self._waiting.labels(model).set_function(waiting)
        self._failures.labels(model).set_function(failures)

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
