"""The arguments of ``beam-rtls flink``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.commands.arguments import new_parser, number, refuse_unknown_variables, web_address
from pipeline.settings import MAX_PARALLELISM, FlinkSettings

ACTIONS = {
    "status": "state, checkpoints and TaskManagers",
    "savepoint": "take a savepoint; the job runs on",
    "stop": "cancel the job, or stop it --with-savepoint",
    "resume": "start the job that was last submitted here again, --from a savepoint",
}
_EXAMPLE = """\
examples:
  beam-rtls flink status
  beam-rtls flink stop --with-savepoint
  beam-rtls flink resume --from file:///savepoints/savepoint-1a2b --parallelism 4

savepoint and stop print the savepoint's path as JSON on standard output, resume
the job's id. To resume with other code or other settings, start it with
beam-rtls run --runner flink --savepoint PATH.
"""


@dataclass(frozen=True, slots=True)
class FlinkArguments:
    """What ``beam-rtls flink`` was asked."""

    action: str
    master: str
    job_name: str
    job_id: str | None
    with_savepoint: bool
    savepoint_dir: str | None
    resume_from: str | None
    parallelism: int | None
    timeout_s: float


def parse(argv: Sequence[str]) -> FlinkArguments:
    """Return the arguments; a wrong one ends the program with what was expected (exit code 2)."""
    parser = new_argument_parser()
    refuse_unknown_variables(parser)
    given = parser.parse_args(list(argv))
    if given.action == "resume" and not given.resume_from:
        parser.error("resume needs --from PATH, a savepoint or a retained checkpoint")
    if given.with_savepoint and given.action != "stop":
        parser.error(f"--with-savepoint belongs to stop, not to {given.action}")
    if given.savepoint_dir and given.action == "stop" and not given.with_savepoint:
        parser.error("stop takes no savepoint unless told to; give --with-savepoint, or no --savepoint-dir")
    return FlinkArguments(
        action=given.action,
        master=given.flink_master,
        job_name=given.job_name,
        job_id=given.job,
        with_savepoint=given.with_savepoint,
        savepoint_dir=given.savepoint_dir,
        resume_from=given.resume_from,
        parallelism=given.parallelism,
        timeout_s=given.timeout,
    )


def new_argument_parser() -> argparse.ArgumentParser:
    """Return the parser of ``beam-rtls flink``."""
    actions = "\n\n".join(f"  {name:<10} {what}" for name, what in ACTIONS.items())
    parser = new_parser(
        "flink", f"Look after the job on a Flink cluster, over Flink's REST interface.\n\n{actions}", _EXAMPLE
    )
    parser.add_argument("action", choices=ACTIONS, metavar="ACTION", help=", ".join(ACTIONS))
    add_flink_master(parser)
    parser.add_argument("--job", metavar="ID", help="the job's id; needed only where several of the name run")
    parser.add_argument(
        "--with-savepoint", action="store_true", help="stop: open rounds stay open in it, and nothing is lost"
    )
    parser.add_argument(
        "--savepoint-dir", metavar="URI", help="where savepoints go; left out, where the cluster's configuration says"
    )
    parser.add_argument(
        "--from", dest="resume_from", metavar="PATH", help="resume: the savepoint, or a retained checkpoint"
    )
    parser.add_argument(
        "--parallelism",
        type=number(at_least=1, at_most=MAX_PARALLELISM, kind=int),
        metavar="N",
        help="resume: how many tasks work side by side; the cluster's default where not given",
    )
    parser.add_argument(
        "--timeout",
        type=number(above=0, at_most=3600),
        default=120.0,
        metavar="S",
        help="how long a savepoint may take (s)",
    )
    return parser


def add_flink_master(parser: argparse._ActionsContainer) -> None:
    """Add where the cluster is, and what the job is called."""
    defaults = FlinkSettings(Path())
    parser.add_argument(
        "--flink-master", type=web_address, default=defaults.master, metavar="URL", help="Flink's REST address"
    )
    parser.add_argument("--job-name", default=defaults.job_name, metavar="NAME", help="what Flink calls the job")
