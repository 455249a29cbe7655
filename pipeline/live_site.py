"""The site map in force, while the file that it stands in changes.

A thread in every worker looks at the map's files from time to time. What has changed is taken up when a second look
finds the same, so that a file half written is not taken for a map; and it is taken up as a whole or, where it does not
check, not at all. The map in force is also kept on the worker's own disk: a worker that is started while the file is
broken goes on with that one.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.map_changes import MapReport
from pipeline.map_copy import MapCopy
from pipeline.map_files import MapFiles, Read, read_bytes
from pipeline.site import Site, SiteError, SiteFile, site_in

_LOG = logging.getLogger(__name__)
_MAX_DETAIL = 2000
"""Characters of what is told of a broken map; of what is wrong there can be any number of lines."""


@dataclass(frozen=True, slots=True)
class LiveSite:
    """A site map that is followed while it changes: a ``SiteSource``. It goes to workers without its content.

    ``poll_s`` is the time from one look to the next; a change is in force after two of them. 0: it is read once.
    """

    file: SiteFile
    poll_s: float = 2.0

    def __call__(self) -> Site:
        """Return the map in force.

        Raises:
            SiteError: there is none, for the file has never held one here.
        """
        return _followed(self).site

    def report(self) -> MapReport:
        """Return what became of the file last."""
        return _followed(self).report


class MapFollower:
    """Follows the file of one map; ``site`` is the map in force, ``report`` what became of the file last.

    Args:
        file: where the map stands.
        copy: where the map in force is kept.
        read: reads a file.
        clock: tells the time, microseconds since 1970.

    Raises:
        SiteError: the file holds no map, and no copy of one that was in force lately is there.
    """

    def __init__(
        self, file: SiteFile, copy: MapCopy, read: Read = read_bytes, clock: Callable[[], int] | None = None
    ) -> None:
        self._file = file
        self._copy = copy
        self._read = read
        self._clock = clock or _wall_clock_us
        self._changed: MapFiles | None = None
        """What the last look found, where that is not in force or refused."""
        self._settled = MapFiles(read)
        """What was last taken up or refused."""
        found = self._checked(self._settled)
        if isinstance(found, Site):
            self._take_up(found)
            return
        kept = copy.load()
        last = found if kept is None else self._checked(kept)
        if not isinstance(last, Site):
            raise last
        self.site = last
        self._refuse(found)

    def look(self) -> None:
        """Look at the files, and take up, or refuse, what was found there at the look before as well."""
        now = MapFiles.look(self._settled.paths, self._read)
        if now.says_the_same(self._settled):
            self._changed = None
        else:
            self._consider(MapFiles(now.read))  # and what files the map names by now, but none that it did before
        self._copy.confirm()

    def _consider(self, found: MapFiles) -> None:
        checked = self._checked(found)  # which reads whatever files the map names
        if self._changed is None or not found.says_the_same(self._changed):
            self._changed = found
            return
        self._changed, self._settled = None, found
        if not isinstance(checked, Site):
            self._refuse(checked)
            return
        self._take_up(checked)
        told = (self._file.path, checked.version, len(checked.anchors))
        _LOG.info("site map %s, version %s, %d anchors, is in force", *told)

    def _checked(self, files: MapFiles) -> Site | SiteError:
        """Return the map in files, or why there is none, be it that checking fails in a way that nobody thought of."""
        path = self._file.path
        try:
            return site_in(files, path, self._file.tag_height_m)
        except SiteError as error:
            return error
        except Exception as error:  # noqa: BLE001  (the map in force stays, whatever it is)
            _LOG.exception("the site map %s could not be checked", path)
            return SiteError(f"{path}:1: the map cannot be checked: {error!r}")

    def _take_up(self, site: Site) -> None:
        self._copy.keep(self._settled)
        self.site = site
        self.report = MapReport(site.name, site.version, self._clock(), None)

    def _refuse(self, error: SiteError) -> None:
        detail = str(error)[:_MAX_DETAIL]
        self.report = MapReport(self.site.name, self._settled.version, self._clock(), detail)
        _LOG.error("the site map has changed and cannot be used; version %s stays:\n%s", self.site.version, detail)


def _wall_clock_us() -> int:
    return time.time_ns() // 1000


_LOCK = threading.Lock()


def _followed(live: LiveSite) -> MapFollower:
    """Return what follows a map in this process: one follower, however many stages ask."""
    with _LOCK:
        return _new_follower(live)


@functools.cache
def _new_follower(live: LiveSite) -> MapFollower:
    follower = MapFollower(live.file, MapCopy(live.file.path))
    if live.poll_s:
        threading.Thread(target=_follow, args=(follower, live.poll_s), daemon=True, name="site map").start()
    return follower


def _follow(follower: MapFollower, poll_s: float) -> None:
    while True:
        time.sleep(poll_s)
        try:
            follower.look()
        except Exception:  # noqa: BLE001  (the map in force stays, and the next look may go well)
            _LOG.exception("the site map could not be looked at")
