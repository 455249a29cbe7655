"""What is changed of Beam's Python worker, for what it costs otherwise in a stream of small bundles.

Each of these is of Beam's inside at the version that setup.py pins; ``tests/test_worker_tuning.py`` holds them to what
they replace.
"""

from __future__ import annotations

import gc
import sys
from typing import Any

from apache_beam.runners.worker import statecache
from apache_beam.runners.worker.bundle_processor import (
    BundleProcessor,
    FnApiUserStateContext,
    SynchronousBagRuntimeState,
)

_ALLOCATIONS = 50_000
"""New objects between two looks for cycles among them; 700 by default, which is some ten readings."""


def tune() -> None:
    """Change this process; called once, when what a worker needs is imported."""
    gc.freeze()  # what is imported stays: the collector need not look at it again and again
    gc.set_threshold(_ALLOCATIONS, 20, 20)
    statecache.get_deep_size = weigh
    FnApiUserStateContext.commit = commit
    BundleProcessor.monitoring_infos = told_metrics


def weigh(value: Any) -> int:
    """Return how many bytes a cached cell of state holds: entries are bytes, or tell themselves what they hold.

    Beam looks for more behind each of them, and before that walks through the names of all modules, at every write.
    """
    return sys.getsizeof(value) + (sum(map(sys.getsizeof, value)) if isinstance(value, list) else 0)


def commit(context: Any) -> None:
    """Write back the cells that a bundle changed: send them all, then wait for all. Beam waits for each by itself."""
    sent = [_send(state) for state in context._all_states.values()]  # noqa: SLF001
    for answer in sent:
        if answer is not None:
            answer.get()


def _send(state: Any) -> Any:
    """Do what ``SynchronousBagRuntimeState.commit`` does, but for waiting; return what is to be waited for."""
    if type(state) is not SynchronousBagRuntimeState:
        state.commit()
        return None
    handler, key, answer = state._state_handler, state._state_key, None  # noqa: SLF001
    if state._cleared:  # noqa: SLF001
        answer = handler.clear(key)
    if state._added_elements:  # noqa: SLF001
        answer = handler.extend(key, state._value_coder.get_impl(), state._added_elements)  # noqa: SLF001
    return answer


def told_metrics(processor: Any) -> list[Any]:
    """Return what a bundle's stages have counted. Beam adds times and element counts of each of its steps.

    Nobody reads those, for the stages count what comes in and goes out; they were most of what a bundle tells.
    """
    found: dict[Any, Any] = {}
    for transform_id, operation in processor.ops.items():
        found.update(operation.user_monitoring_infos(transform_id))
    return list(found.values())
