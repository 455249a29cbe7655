"""``beam-rtls run``: the pipeline over Kafka."""

from __future__ import annotations

import importlib
import json
import logging
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.commands.run_arguments import RunArguments, parse
from pipeline.flink import follow
from pipeline.flink_rest import ENTRY_CLASS, Flink, FlinkError, jar_name
from pipeline.kafka_client import UnsupportedPropertyError
from pipeline.live_site import LiveSite
from pipeline.map_files import whole_path
from pipeline.preflight import PreflightError, preflight, require_service
from pipeline.settings import FlinkSettings, PrismSettings
from pipeline.site import SiteError, SiteFile

_LOG = logging.getLogger(__name__)
_TALKATIVE = {"apache_beam", "PrismRunner", "root", "urllib3", "ExpansionService"}
_NOISE = (
    "crcmod package not found",  # a checksum for file formats that are not used here
    "Unparseable argument",  # an option of the runner's Java side, which Python hands on without knowing it
    "garbage collected without being shut down",  # Beam's Java worker says so of its own connections
    "Waiting for grpc channel to be ready",  # Java takes its seconds
    "Error bringing up service",  # with a stack; what is wrong follows
)


class JarError(RuntimeError):
    """The job's jar cannot be written."""


def main(argv: Sequence[str]) -> int:
    """Run until stopped, or submitted where that is all that was asked for.

    Exit code 0 after SIGINT or SIGTERM, 1 where the run failed or was stopped before it was submitted to Flink, 2 where
    it was called wrongly.
    """
    arguments = parse(argv)
    _configure_logging(arguments.log_level)
    site = LiveSite(SiteFile(whole_path(arguments.anchors), arguments.tag_height_m), arguments.map_poll_s)
    run = _on_prism if isinstance(arguments.settings.runner, PrismSettings) else _on_flink
    try:
        return run(site, arguments)
    except (SiteError, PreflightError, UnsupportedPropertyError, FlinkError, JarError) as error:
        print(f"beam-rtls run: {error}", file=sys.stderr)
        return 1


def _on_prism(site: LiveSite, arguments: RunArguments) -> int:
    prism = arguments.settings.runner
    assert isinstance(prism, PrismSettings)
    _check_site(site)
    _load_meanwhile("pipeline.prism")
    preflight(arguments.settings.kafka, arguments.start_wait_s)
    require_service(prism.expansion_service, arguments.start_wait_s)
    from pipeline.prism import run_on_prism  # noqa: PLC0415

    return run_on_prism(site, arguments.settings, prism)


def _on_flink(site: LiveSite, arguments: RunArguments) -> int:
    flink = arguments.settings.runner
    assert isinstance(flink, FlinkSettings)
    if flink.output_jar is not None:
        return _write_jar(site, arguments, flink, flink.output_jar)
    _check_site(site)
    cluster = Flink(flink.master)
    stopped = threading.Event()
    try:
        _on_signals(_interrupt)  # as long as there is no job to cancel
        cluster.require_none(flink.job_name)  # before the offsets are committed that such a job may start from
        _load_meanwhile("pipeline.portable_jar")
        preflight(arguments.settings.kafka, arguments.start_wait_s, resumes=flink.savepoint is not None)
        with tempfile.TemporaryDirectory(prefix="beam-rtls-") as directory:
            jar = Path(directory, jar_name(flink.job_name))
            _pack(site, arguments, flink, jar)
            _LOG.info("uploading the job (%.0f MB)", jar.stat().st_size / 1e6)
            jar_id = cluster.upload(jar, jar.name)
        _on_signals(stopped.set)
    except KeyboardInterrupt:
        print("beam-rtls run: stopped before the job was submitted", file=sys.stderr)
        return 1
    if flink.savepoint:
        _LOG.info("resuming from %s", flink.savepoint)
    job_id = cluster.submit(jar_id, ENTRY_CLASS, parallelism=flink.parallelism, savepoint=flink.savepoint)
    print(json.dumps({"job_id": job_id, "web_ui": f"{cluster.address}/#/job/{job_id}/overview"}), flush=True)
    if flink.detach and not stopped.is_set():
        return 0
    _LOG.info("following job %s; Ctrl-C cancels it", job_id)
    return follow(cluster, job_id, stopped)


def _write_jar(site: LiveSite, arguments: RunArguments, flink: FlinkSettings, output: Path) -> int:
    """Write the job's jar. The map is on the workers, and where it is here as well, it is checked."""
    if site.file.is_here():
        _check_site(site)
    elif arguments.anchors == site.file.path:
        _LOG.warning("%s is not here and goes unchecked; the workers need it there", arguments.anchors)
    else:
        raise SiteError(f"{arguments.anchors} is not here; for a map that only the workers have, give its whole path")
    _pack(site, arguments, flink, output)
    _LOG.info("wrote %s; its main class is %s", output, ENTRY_CLASS)
    return 0


def _pack(site: LiveSite, arguments: RunArguments, flink: FlinkSettings, output: Path) -> None:
    from pipeline.portable_jar import write_portable_jar  # noqa: PLC0415

    try:
        write_portable_jar(site, arguments.settings, flink, output)
    except (OSError, RuntimeError) as error:
        raise JarError(f"cannot write the job's jar: {error}") from error


def _on_signals(act: Callable[[], None]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: act())


def _interrupt() -> None:
    raise KeyboardInterrupt


def _check_site(site: LiveSite) -> None:
    loaded = site.file.load()
    _LOG.info("site %s: %d anchors, map version %s", loaded.name, len(loaded.anchors), loaded.version)


def _load_meanwhile(module: str) -> None:
    """Load what needs Beam while other checks go on: it takes seconds."""
    threading.Thread(target=importlib.import_module, args=(module,)).start()


def _configure_logging(level: int) -> None:
    """Log to standard error, and of Beam and its engine only what a person can use, unless all is asked for."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if level > logging.DEBUG:
        for handler in logging.getLogger().handlers:  # a logger's own filter would not see what others log
            handler.addFilter(_is_of_use)


def _is_of_use(record: logging.LogRecord) -> bool:
    if record.name.partition(".")[0] in _TALKATIVE and record.levelno < logging.WARNING:
        return False
    text = record.getMessage()
    return not any(noise in text for noise in _NOISE)
