"""A Python worker as the pool starts it: Beam's own, which tells the pool when it has reached the TaskManager."""

from __future__ import annotations

import os
import sys

from apache_beam.runners.worker import sdk_worker_main
from apache_beam.runners.worker.sdk_worker import SdkHarness

import pipeline.graph  # noqa: F401  (what bundles need is there before the collector is told that it stays)
from pipeline.worker_pool import CONNECTED_FD
from pipeline.worker_tuning import tune


class _Telling(SdkHarness):  # type: ignore[misc]
    """A harness is made when its control channel is established, and run then."""

    def run(self) -> None:
        pipe = int(os.environ.pop(CONNECTED_FD))
        os.write(pipe, b"1")
        os.close(pipe)
        super().run()


if __name__ == "__main__":
    tune()
    sdk_worker_main.SdkHarness = _Telling
    sdk_worker_main.main(sys.argv)
