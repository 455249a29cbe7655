"""The graph on Prism, Beam's local runner, in this process's keeping until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from types import FrameType

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from pipeline.graph import build
from pipeline.kafka import kafka_ends
from pipeline.settings import PrismSettings, RunSettings
from pipeline.site import SiteSource

_LOG = logging.getLogger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_on_prism(site: SiteSource, settings: RunSettings, prism: PrismSettings) -> int:
    """Run the pipeline over Kafka until SIGINT or SIGTERM (returns 0), or until the job fails (returns 1)."""
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in _SIGNALS:
        signal.signal(number, stop)
    pipeline = beam.Pipeline(options=PipelineOptions(prism.beam_options()))
    build(pipeline, kafka_ends(settings.kafka, prism.expansion_service), site, settings.graph)
    _LOG.info("submitting to Prism")
    result = pipeline.run()
    # Beam's job server has put a handler of its own in place, which ends the job without a word.
    for number in _SIGNALS:
        signal.signal(number, stop)
    failed = threading.Event()
    threading.Thread(target=_wait, args=(result, stopped, failed), daemon=True).start()
    _LOG.info("running; stop with Ctrl-C")
    stopped.wait()
    if failed.is_set():
        return 1
    _LOG.info("stopping")
    _expect_broken_connections()
    with contextlib.suppress(grpc.RpcError):  # after Ctrl-C the engine may be gone before us
        result.cancel()
    return 0


def _wait(result: PipelineResult, stopped: threading.Event, failed: threading.Event) -> None:
    """Tell when the job ends by itself: it is endless, so it has failed."""
    try:
        ended = f"in state {result.wait_until_finish()}"
    except Exception as error:  # noqa: BLE001  (a runner may raise anything; all of it means that the job is gone)
        ended = str(error)
    # Ctrl-C reaches the engine's own process too, and it may be gone before our handler has run.
    if not stopped.wait(1.0):
        _LOG.error("the job ended by itself: %s", ended)
        failed.set()
        stopped.set()


def _expect_broken_connections() -> None:
    """From here on the engine closes its end first; its threads' complaints would only hide what matters."""
    logging.disable(logging.CRITICAL)
    threading.excepthook = lambda _: None
