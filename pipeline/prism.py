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
_GRACE_S = 3.0
"""A terminal's Ctrl-C reaches the engine's own process too, which may be gone so long before our handler has run."""


def run_on_prism(site: SiteSource, settings: RunSettings, prism: PrismSettings) -> int:
    """Run the pipeline over Kafka until SIGINT or SIGTERM (returns 0), or until the job fails (returns 1)."""
    asked, over = threading.Event(), threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        asked.set()
        over.set()

    for number in _SIGNALS:
        signal.signal(number, stop)
    pipeline = beam.Pipeline(options=PipelineOptions(prism.beam_options()))
    build(pipeline, kafka_ends(settings.kafka, prism.expansion_service), site, settings.graph)
    _LOG.info("submitting to Prism")
    result = pipeline.run()
    # Beam's job server has put a handler of its own in place, which ends the job without a word.
    for number in _SIGNALS:
        signal.signal(number, stop)
    _expect_broken_connections(asked)
    threading.Thread(target=_wait, args=(result, asked, over), daemon=True).start()
    _LOG.info("running; stop with Ctrl-C")
    over.wait()
    if not asked.is_set():
        return 1
    _LOG.info("stopping")
    logging.disable(logging.CRITICAL)  # from here on the engine's end would only hide what matters
    with contextlib.suppress(grpc.RpcError):  # after Ctrl-C the engine may be gone before us
        result.cancel()
    return 0


def _wait(result: PipelineResult, asked: threading.Event, over: threading.Event) -> None:
    """Tell when the job ends by itself: it is endless, so it has failed."""
    try:
        ended = f"in state {result.wait_until_finish()}"
    except Exception as error:  # noqa: BLE001  (a runner may raise anything; all of it means that the job is gone)
        ended = str(error)
    if not asked.wait(_GRACE_S):
        _LOG.error("the job ended by itself: %s", ended)
        over.set()


def _expect_broken_connections(asked: threading.Event) -> None:
    """Let the threads that talk with the engine complain of its end only where nobody has asked for it."""

    def is_news(error: BaseException | None) -> bool:
        return not (asked.is_set() or (isinstance(error, grpc.RpcError) and asked.wait(_GRACE_S)))

    def complain(arguments: threading.ExceptHookArgs) -> None:
        if is_news(arguments.exc_value):
            threading.__excepthook__(arguments)

    threading.excepthook = complain
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: not record.exc_info or is_news(record.exc_info[1]))
