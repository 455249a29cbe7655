"""A copy of the map in force on the worker's own disk, for a worker that is started while the map's file is broken."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from base64 import b64decode, b64encode
from pathlib import Path

import orjson

from pipeline.map_files import MapFiles

_FRESH_S = 3600.0
"""A copy that was in force longer ago than this is not used: nobody knows what the site has become since."""
_LOG = logging.getLogger(__name__)


class MapCopy:
    """The copy of one map, in a folder of the user's own among the temporary files (``TMPDIR``).

    A disk that cannot be used costs the copy, and nothing else.
    """

    def __init__(self, path: str, folder: Path | None = None) -> None:
        self._path = path
        self._folder = folder or Path(tempfile.gettempdir(), f"beam-rtls-{os.getuid()}")
        self._file = self._folder / f"map-{hashlib.sha256(path.encode()).hexdigest()[:16]}.json"

    def keep(self, files: MapFiles) -> None:
        """Keep what the files of the map hold."""
        contents = {path: b64encode(content).decode() for path, content in files.contents.items()}
        try:
            self._make_folder()
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as written:
                written.write(orjson.dumps(contents))
            Path(written.name).replace(self._file)
        except OSError as error:
            _LOG.warning("no copy of the site map %s can be kept: %s", self._path, error)

    def confirm(self) -> None:
        """Note that what was kept is in force now."""
        try:
            os.utime(self._file)
        except OSError as error:
            _LOG.debug("the copy of the site map %s cannot be confirmed: %s", self._path, error)

    def load(self) -> MapFiles | None:
        """Return what was kept, None where there is nothing, or nothing that was in force lately."""
        try:
            self._make_folder()
            if time.time() - self._file.stat().st_mtime > _FRESH_S:
                return None
            kept = orjson.loads(self._file.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return MapFiles.look(kept, lambda path: b64decode(kept[path]))

    def _make_folder(self) -> None:
        """Make the folder, or see that it is one's own: others may write among the temporary files as well."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{self._folder} belongs to somebody else")
