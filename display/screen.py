"""Which page is on the screen, and when it is drawn."""

from adafruit_ticks import ticks_add, ticks_diff

from . import pages

REDRAW_MS = 500


class Screen:
    """Draws the page of the moment. `session.trouble` is the network's, `problems` the settings' mistakes."""

    def __init__(self, panel, pack, poller, session, problems):
        self._panel = panel
        self._pack = pack
        self._poller = poller
        self._session = session
        self._problems = problems
        self._next = None

    def tick(self, now):
        """Redraw if it is time."""
        if self._next is not None and ticks_diff(now, self._next) < 0:
            return
        self._next = ticks_add(now, REDRAW_MS)
        self._panel.show(self._page())

    def _page(self):
        if self._problems and not self._poller.online:
            return pages.settings_problem(self._problems[0])
        return pages.overview(self._pack, self._poller.link.short, self._session.trouble)
