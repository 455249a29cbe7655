"""A DoFn that works by the site map, which may change from one bundle to the next."""

from __future__ import annotations

from pipeline.site import SiteSource
from pipeline.transforms.metrics import MeteredFn


class SiteFn(MeteredFn):
    """Has the map in force, one for all of a bundle, as ``_site``.

    Whoever has a ``setup`` or ``start_bundle`` of its own calls these as well.
    """

    def __init__(self, stage: str, site: SiteSource) -> None:
        super().__init__(stage)
        self._site_source = site

    def setup(self) -> None:
        """Load the site map: what is wrong with it is better known before the first bundle."""
        self._site = self._site_source()

    def start_bundle(self) -> None:
        """Take the site map in force."""
        super().start_bundle()
        self._site = self._site_source()
