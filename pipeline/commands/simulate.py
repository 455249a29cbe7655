"""``beam-rtls simulate``: publish what real anchors would publish, or write it to a log."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import math
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import configargparse
import orjson
from confluent_kafka import KafkaException, Producer
from tqdm import tqdm

from pipeline.commands.arguments import kafka_property, new_parser
from pipeline.kafka_client import UnsupportedPropertyError, client_config
from pipeline.simulation.events import AnchorRecord, Heartbeat
from pipeline.simulation.log import READINGS_HEADER, TRUTH_HEADER, TRUTH_INTERVAL_S, TruthLog, reading_lines
from pipeline.simulation.pacing import Pace
from pipeline.simulation.scene import Event, Scene
from pipeline.simulation.settings import LIMITS, AnchorFault, SceneError, SceneSettings, TearOff
from pipeline.simulation.totals import Totals
from pipeline.site import SiteError, load_site
from pipeline.wire.anchor_data import encode_anchor_alive, encode_anchor_data

RECORD_KEY = b"protobuf"
LOG_START_US = 1_704_067_200_000_000
"""2024-01-01: a log does not depend on when it was made."""
REACH_KAFKA_S = 10.0
FLUSH_S = 30.0
LONGEST_WAIT_S = 0.2

DESCRIPTION = """\
Play a site with tags walking about, and publish to Kafka what its anchors would publish; or write it to a log.

What it imitates: moving and torn-off tags blink every 200 ms, still ones every 10 s; an anchor publishes a tag about
once a second, with a heartbeat every 2 s; records have the constant key "protobuf" and whole-second stamps of the
anchor's own clock; a tag's id has 12 digits that name it and 4 that tell its state (0000 well, 0001 torn off, 0100
battery low, 0101 both). Tag number 5 is 0003FF000005....
"""

EPILOG = """\
examples:

  beam-rtls simulate --anchors anchors/demo.yaml --bootstrap-servers localhost:19092 --tags 20
  beam-rtls simulate --anchors anchors/demo.yaml --output readings.csv --truth-output truth.csv --duration 60
  ... --anchor-outage A1:20:30   (A1 is dead from second 20 to 50)   --tear-off 3:15   (tag 3, at second 15)

At the end, also after Ctrl-C, one line of JSON on standard output tells what was caused:
{"records", "readings", "heartbeats", "tags", "lost", "outliers", "seconds"}.
exit code: 0 done or interrupted, 1 Kafka or a file failed, 2 called wrongly
"""


class SimulationError(Exception):
    """Kafka failed while publishing."""


class Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Keeps the lines of the examples, and shows the defaults that there are."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = action.default not in (None, []) and action.default is not False
        return super()._get_help_string(action) if has_default else action.help


def main(argv: Sequence[str]) -> int:
    """Simulate as ``argv`` says and return the exit code."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    _check(parser, arguments)
    try:
        site = load_site(arguments.anchors, arguments.tag_height)
        scene = Scene(site, scene_settings(arguments), _start_us(arguments))
    except (SiteError, SceneError) as error:
        parser.error(str(error))
    totals = Totals(tags=arguments.tags)
    try:
        with _interruptible() as is_stopped:
            if arguments.output is not None:
                _write_log(scene, arguments, totals, is_stopped)
            else:
                _publish(scene, arguments, totals, is_stopped)
    except UnsupportedPropertyError as error:
        parser.error(f"--kafka-property: {error}")
    except (SimulationError, KafkaException, OSError) as error:
        print(f"beam-rtls simulate: {error}", file=sys.stderr)
        return 1
    totals.lost = scene.lost
    print(orjson.dumps(asdict(totals)).decode(), flush=True)
    return 0


# Options


def build_parser() -> configargparse.ArgumentParser:
    """Return the parser."""
    parser = new_parser("simulate", DESCRIPTION, EPILOG)
    parser.formatter_class = Help
    _add_places(parser)
    _add_times(parser.add_argument_group("time"))
    _add_tags(parser.add_argument_group("tags"))
    _add_readings(parser.add_argument_group("readings"))
    _add_anchors(parser.add_argument_group("anchors"))
    return parser


def _add_places(parser: configargparse.ArgumentParser) -> None:
    site = parser.add_argument_group("the site")
    site.add_argument("--anchors", metavar="FILE", required=True, help="site map: .yaml, .yml or .csv")
    height = number(-math.inf, math.inf)
    site.add_argument("--tag-height", metavar="M", type=height, help="height (m) of the tags, in place of the map's")

    kafka = parser.add_argument_group("to Kafka")
    kafka.add_argument("--bootstrap-servers", metavar="HOST:PORT", help="the Kafka cluster to publish to")
    kafka.add_argument("--data-topic", metavar="NAME", default="packet_data", help="topic of the readings")
    kafka.add_argument("--alive-topic", metavar="NAME", default="packet_alive", help="topic of the heartbeats")
    text = "topic for the truth: one JSON record for each data record and tag in it, with the data record's place"
    kafka.add_argument("--truth-topic", metavar="NAME", help=f"{text}; left out, no truth is published")
    text = "client property in Java's words, as in security.protocol=SSL; repeatable"
    kafka.add_argument("--kafka-property", metavar="K=V", type=kafka_property, action="append", default=[], help=text)

    log = parser.add_argument_group("to a log, in place of Kafka and as fast as possible")
    text = (
        "readings in order of arrival: t,tag_id,anchor_id,distance_m; t in seconds from the start by the anchor's stamp"
    )
    log.add_argument("--output", metavar="FILE", help=f"{text}, so whole seconds without --fine-timestamps")
    text = f"true places every {TRUTH_INTERVAL_S} s: t,tag_id,x,y,z; t in true seconds from the start"
    log.add_argument("--truth-output", metavar="FILE", help=text)


def _add_times(group: Any) -> None:
    text = "simulated seconds; left out, until interrupted"
    group.add_argument("--duration", metavar="S", type=number(0.001, 1e9), help=text)
    text = "simulated seconds a second; 0: as fast as possible"
    group.add_argument("--speedup", metavar="X", type=number(0, 1e6), default=1.0, help=text)
    text = "true time at the start, ISO 8601; left out, now (less the duration where --speedup is not 1)"
    group.add_argument("--start", metavar="TIME", type=instant_us, help=f"{text}, and 2024-01-01 in a log")


def _add_tags(group: Any) -> None:
    _add(group, "--tags", "tags", "N", text="how many", kind=int)
    _add(group, "--seed", "seed", "S", text="the same seed and options give the same bytes", kind=int)
    _add(group, "--still-share", "still_share", "SHARE", text="share of the tags that never move, 0 to 1")
    _add(group, "--walking-speed", "walking_speed_m_s", "M/S", text="middle of the walking speeds")
    text = "tag TAG (counted from 0) is torn off AT seconds after the start; repeatable"
    group.add_argument(
        "--tear-off", metavar="TAG:AT", type=scene_text(TearOff.parse), action="append", default=[], help=text
    )
    _add(group, "--battery-low-share", "battery_low_share", "SHARE", text="share of the tags whose battery runs low")
    _add(group, "--battery-low-at", "battery_low_at_s", "S", text="seconds after the start when it does")


def _add_readings(group: Any) -> None:
    _add(group, "--noise", "noise_m", "M", text="standard deviation of the noise")
    _add(group, "--bias", "bias_m", "M", text="middle of the constant errors of the tag-anchor pairs")
    _add(group, "--bias-spread", "bias_spread_m", "M", text="how far these lie to either side")
    _add(group, "--outlier-share", "outlier_share", "SHARE", text="share of readings without line of sight")
    _add(group, "--outlier-mean", "outlier_mean_m", "M", text="mean of their additional, exponential error")
    _add(group, "--lost-share", "lost_share", "SHARE", text="share of rangings that fail")
    _add(group, "--max-range", "max_range_m", "M", text="how far anchors hear; left out, the site's, 100 at most")


def _add_anchors(group: Any) -> None:
    _add(group, "--clock-offset", "clock_offset_s", "S", text="standard deviation of their constant clock errors")
    _add(group, "--delay", "delay_s", "S", text="least time that a record takes to Kafka")
    _add(group, "--jitter", "jitter_s", "S", text="mean of the exponential time added to that")
    group.add_argument("--fine-timestamps", action="store_true", help="stamps in microseconds, not whole seconds")
    text = "many: an anchor puts all tags that it measured within 50 ms into one record"
    group.add_argument("--tags-per-record", choices=("one", "many"), default="one", help=text)
    text = "the anchor is dead from second FROM on, for SECONDS; repeatable"
    fault = {"metavar": "ANCHOR:FROM:SECONDS", "type": scene_text(AnchorFault.parse), "action": "append", "default": []}
    group.add_argument("--anchor-outage", **fault, help=text)
    group.add_argument("--clock-lost", **fault, help="likewise, the anchor's clock restarts at 1970; repeatable")


def _add(
    group: Any,
    flag: str,
    field: str,
    metavar: str,
    *,
    text: str,
    kind: Callable[[str], float] = float,
) -> None:
    """Add the option for a field of ``SceneSettings``, with its limits and its default."""
    default = getattr(SceneSettings(), field)
    group.add_argument(flag, dest=field, metavar=metavar, type=number(*LIMITS[field], kind), default=default, help=text)


def scene_settings(arguments: argparse.Namespace) -> SceneSettings:
    """Return the scene that the options describe.

    Raises:
        SceneError: options that do not fit together.
    """
    return SceneSettings(
        **{field: getattr(arguments, field) for field in LIMITS},
        fine_timestamps=arguments.fine_timestamps,
        many_tags_per_record=arguments.tags_per_record == "many",
        outages=tuple(arguments.anchor_outage),
        clock_losses=tuple(arguments.clock_lost),
        tear_offs=tuple(arguments.tear_off),
    )


def number(low: float, high: float, kind: Callable[[str], float] = float) -> Callable[[str], float]:
    """Return an argument type: a finite number from ``low`` to ``high``."""
    what = "a whole number" if kind is int else "a number"

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            bounds = f" from {low:g} to {high:g}" if math.isfinite(low) and math.isfinite(high) else ""
            bounds = bounds or (f" of {low:g} or more" if math.isfinite(low) else "")
            raise argparse.ArgumentTypeError(f"expected {what}{bounds}, got {text!r}")
        return value

    return parse


def scene_text(parse: Callable[[str], AnchorFault | TearOff]) -> Callable[[str], AnchorFault | TearOff]:
    """Return ``parse`` as an argument type, which argparse lets explain itself."""

    def checked(text: str) -> AnchorFault | TearOff:
        try:
            return parse(text)
        except SceneError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def instant_us(text: str) -> int:
    """Parse a time in ISO 8601, UTC where it names no zone, to microseconds since 1970."""
    try:
        time_ = dt.datetime.fromisoformat(text.removesuffix("Z") + "+00:00" * text.endswith("Z"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected a time as in 2024-05-01T08:00:00Z, got {text!r}") from error
    if time_.tzinfo is None:
        time_ = time_.replace(tzinfo=dt.timezone.utc)
    epoch = dt.datetime.fromtimestamp(0, dt.timezone.utc)
    return (time_ - epoch) // dt.timedelta(microseconds=1)


def _check(parser: configargparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.output is None and arguments.bootstrap_servers is None:
        parser.error("expected --bootstrap-servers HOST:PORT to publish, or --output FILE to write a log")
    if arguments.output is None and arguments.truth_output is not None:
        parser.error("--truth-output: expected --output with it; the truth of what is published goes to --truth-topic")
    if arguments.output is not None and arguments.duration is None:
        parser.error("--output: expected --duration SECONDS with it; a log needs an end")


def _start_us(arguments: argparse.Namespace) -> int:
    if arguments.start is not None:
        return int(arguments.start)
    if arguments.output is not None:
        return LOG_START_US
    before_s = arguments.duration if arguments.duration is not None and arguments.speedup != 1 else 0
    return time.time_ns() // 1_000 - round(before_s * 1e6)


# Playing


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Let SIGINT and SIGTERM end the play, not the process; gives what tells whether they came."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number_, lambda *_: stop.set()) for number_ in signals]
    try:
        yield stop.is_set
    finally:
        for number_, handler in zip(signals, before, strict=True):
            signal.signal(number_, handler)


def _played(scene: Scene, duration_s: float | None, totals: Totals, is_stopped: Callable[[], bool]) -> Iterator[Event]:
    """Yield the events until the end or a signal, with a progress bar on a terminal; keeps ``totals.seconds``."""
    with tqdm(total=duration_s, unit="s", file=sys.stderr, disable=not sys.stderr.isatty(), smoothing=0) as bar:
        for event in scene.events(duration_s):
            if is_stopped():
                return
            now_s = (event.sent_at_us - scene.start_us) / 1e6
            totals.seconds = now_s if duration_s is None else min(now_s, duration_s)
            if totals.seconds - bar.n > LONGEST_WAIT_S:
                bar.update(totals.seconds - bar.n)
            yield event
        totals.seconds = totals.seconds if duration_s is None else duration_s
        bar.update(totals.seconds - bar.n)


def _write_log(scene: Scene, arguments: argparse.Namespace, totals: Totals, is_stopped: Callable[[], bool]) -> None:
    with contextlib.ExitStack() as files:
        readings = files.enter_context(Path(arguments.output).open("w", encoding="utf-8", newline="\n"))
        readings.write(READINGS_HEADER)
        truth = None
        if arguments.truth_output is not None:
            truth = files.enter_context(Path(arguments.truth_output).open("w", encoding="utf-8", newline="\n"))
            truth.write(TRUTH_HEADER)
        truth_log = TruthLog(scene)
        for event in _played(scene, arguments.duration, totals, is_stopped):
            totals.add(event)
            if isinstance(event, AnchorRecord):
                readings.writelines(reading_lines(event, scene.start_us))
            if truth is not None:
                truth.writelines(truth_log.before(totals.seconds))
        if truth is not None:
            truth.writelines(truth_log.to_the_end(totals.seconds))


def _publish(scene: Scene, arguments: argparse.Namespace, totals: Totals, is_stopped: Callable[[], bool]) -> None:
    publisher = Publisher(arguments, is_stopped)
    is_faster = arguments.speedup == 0 or arguments.speedup > 1
    if is_faster and arguments.duration is None and arguments.start is None:
        tell("stamps will run ahead of the clock; give --duration or --start with --speedup")
    tell(f"{arguments.tags} tags to {arguments.data_topic} at {arguments.bootstrap_servers}; Ctrl-C ends it")
    pace = Pace(arguments.speedup)
    began_s = time.monotonic()
    for event in _played(scene, arguments.duration, totals, is_stopped):
        simulated_s = (event.sent_at_us - scene.start_us) / 1e6
        elapsed_s = time.monotonic() - began_s
        complaint = pace.complaint(pace.wait_s(simulated_s, elapsed_s), elapsed_s)
        if complaint is not None:
            tell(complaint)
        while not is_stopped() and (wait_s := pace.wait_s(simulated_s, time.monotonic() - began_s)) > 0:
            publisher.serve(min(wait_s, LONGEST_WAIT_S))
        if is_stopped():
            break
        if publisher.publish(event):
            totals.add(event)
    publisher.close()


def tell(text: str) -> None:
    """Say something on standard error, above the progress bar if there is one."""
    tqdm.write(f"beam-rtls simulate: {text}", file=sys.stderr)


class Publisher:
    """Publishes events; the truth follows each data record once Kafka has told where it lies."""

    def __init__(self, arguments: argparse.Namespace, is_stopped: Callable[[], bool]) -> None:
        """Connect.

        Raises:
            SimulationError: no broker answers.
            UnsupportedPropertyError: a Kafka property that this client does not know.
        """
        self._data_topic: str = arguments.data_topic
        self._alive_topic: str = arguments.alive_topic
        self._truth_topic: str | None = arguments.truth_topic
        self._is_stopped = is_stopped
        self._delivered: deque[tuple[AnchorRecord, int, int, int]] = deque()
        self._failure: str | None = None
        self._complaints: set[str] = set()
        config = client_config(arguments.bootstrap_servers, dict(arguments.kafka_property))
        config.update({"acks": "all", "enable.idempotence": "true", "linger.ms": "5", "log_level": "0"})
        self._producer = Producer(config, error_cb=self._complain)
        try:
            self._producer.list_topics(timeout=REACH_KAFKA_S)
        except KafkaException as error:
            raise SimulationError(f"no Kafka at {arguments.bootstrap_servers}: {error.args[0].str()}") from error

    def publish(self, event: Event) -> bool:
        """Publish one event, waiting while the client's queue is full; False where it was not for being stopped."""
        if isinstance(event, Heartbeat):
            value = encode_anchor_alive(event.anchor_id, event.stamped_us)
            return self._produce(self._alive_topic, value, self._note)
        tags = {reading.tag_id: reading for reading in event.readings}
        value = encode_anchor_data(event.anchor_id, event.stamped_us, tags)
        note = self._note if self._truth_topic is None else partial(self._note, record=event)
        return self._produce(self._data_topic, value, note)

    def serve(self, wait_s: float) -> None:
        """Let the client work for some time, and publish the truth of what has arrived.

        Raises:
            SimulationError: Kafka refused a record, or did not take it in time.
        """
        self._producer.poll(wait_s)
        if self._failure is not None:
            raise SimulationError(self._failure)
        while self._delivered and self._truth_topic is not None:
            for key, value in encode_truth(*self._delivered.popleft()):
                while not self._has_taken(self._truth_topic, key, value, self._note):
                    self._producer.poll(LONGEST_WAIT_S)

    def close(self) -> None:
        """Wait until everything has arrived.

        Raises:
            SimulationError: something has not.
        """
        deadline_s = time.monotonic() + FLUSH_S
        self.serve(0)
        while (waiting := self._producer.flush(LONGEST_WAIT_S)) or self._delivered:
            self.serve(0)
            if time.monotonic() > deadline_s:
                raise SimulationError(f"{waiting} records have not reached Kafka within {FLUSH_S:g} s")
        self.serve(0)

    def _produce(self, topic: str, value: bytes, note: Callable[..., None]) -> bool:
        while not self._has_taken(topic, RECORD_KEY, value, note):
            if self._is_stopped():
                return False
            self.serve(LONGEST_WAIT_S)
        self.serve(0)
        return True

    def _has_taken(self, topic: str, key: bytes, value: bytes, note: Callable[..., None]) -> bool:
        """Hand a record to the client; False where its queue is full."""
        try:
            self._producer.produce(topic, value, key, on_delivery=note)
        except BufferError:
            return False
        return True

    def _complain(self, error: Any) -> None:
        if error.str() not in self._complaints:  # it comes again with every attempt to connect
            self._complaints.add(error.str())
            tell(error.str())

    def _note(self, error: Any, message: Any, record: AnchorRecord | None = None) -> None:
        if error is not None:
            self._failure = self._failure or f"a record for {message.topic()} was not taken: {error.str()}"
        elif record is not None:
            self._delivered.append((record, message.partition(), message.offset(), message.timestamp()[1]))


def encode_truth(
    record: AnchorRecord,
    partition: int,
    offset: int,
    kafka_time_ms: int,
) -> Iterator[tuple[bytes, bytes]]:
    """Return key (the tag id as on the wire) and JSON for each tag of a data record that lies at this place in Kafka.

    ``t`` is the true instant of the ranging in seconds since 1970; x, y and z are metres.
    """
    for reading in record.readings:
        value = {
            "tagid": reading.tag_id,
            "anchorid": record.anchor_id,
            "partition": partition,
            "offset": offset,
            "kafka_time_ms": kafka_time_ms,
            "t": reading.measured_at_us / 1e6,
            "x": reading.x_m,
            "y": reading.y_m,
            "z": reading.z_m,
        }
        yield reading.tag_id.encode(), orjson.dumps(value)
