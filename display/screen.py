"""Which page is on the screen, and when it is drawn; looks after the panel for years.

Trouble comes first: an active protection or fault has the screen for itself, without a BMS there are only reasons, and what is
wrong with the network or the settings takes its turn before the readings do.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.alarms import PROTECTION, active

from . import pages

REDRAW_MS = 500
RETRY_REDRAWS = 60  # half a minute between two looks for a screen that is not there
RENEW_REDRAWS = 120  # a minute between two renewals of all that the controller knows
MESSAGE_REDRAWS = 8  # how long a page of trouble stays where pages are not turned
MOST_PROBLEMS = 3  # mistakes in the settings that are shown; the console has them all
MOST_PAGES = 4  # of one sentence, which holds all but the names of a board's pins
READINGS = 4  # pages of the battery
_PER_SECOND = 1000 // REDRAW_MS


class Screen:
    """Draws the page of the moment on what `open_panel()` gives: a Panel, or None as long as there is none.

    `settings` are the OLED_* ones, the broker's place, and `problems`, the mistakes in them.
    """

    def __init__(self, open_panel, settings, version):
        self._open_panel = open_panel
        self._settings = settings
        self._version = version
        self._rows = pages.TALL if settings.OLED_HEIGHT == 64 else pages.SHORT
        self._turn_redraws = settings.OLED_PAGE_S * _PER_SECOND or MESSAGE_REDRAWS
        self._dim_redraws = settings.OLED_DIM_AFTER_MIN * 60 * _PER_SECOND
        self._panel = None
        self._poller = self._session = self._radio = None
        self._next = None  # when the page is made anew
        self._drawing = False
        self._is_alarm = False
        self._redraws = 0
        self._turn = 0  # counts the pages turned
        self._turned_at = 0
        self._news = None  # what a person should see soon
        self._news_at = 0
        self._messages: dict = {}  # sentence -> its pages
        self._find_panel()
        self._draw_at_once(pages.starting(version, "starting ...", self._rows))

    def watch(self, poller, session, radio):
        """There is something to show now: the BMS's `poller`, the broker's `session`, the chip's `radio`."""
        self._poller = poller
        self._session = session
        self._radio = radio
        self._draw_at_once(self._page())

    def tick(self, now):
        """Draw one line of what has changed; twice a second, see what has."""
        if self._drawing:
            self._drawing = self._panel.step()
        elif self._next is None or ticks_diff(now, self._next) >= 0:
            self._next = ticks_add(now, REDRAW_MS)
            self._redraws += 1
            self._redraw()

    def covering(self, wait):
        """`wait`, a function beside which nothing runs, with a page before it that has no numbers which would grow old."""

        def covered(*arguments, **named):
            if not self._is_alarm:
                self._draw_at_once(pages.starting(self._version, "Joining Wi-Fi ...", self._rows))
            return wait(*arguments, **named)

        return covered

    # The panel

    def _redraw(self):
        if self._panel is None:
            if self._redraws % RETRY_REDRAWS == 0:
                self._find_panel()
        elif not self._panel.is_there():
            print("The OLED does not answer any more; going on without it, and looking for it.")
            self._panel.close()
            self._panel = None
        else:
            if self._redraws % RENEW_REDRAWS == 0:
                self._panel.renew()
            self._panel.show(self._page())
            self._panel.set_brightness(self._brightness())
            self._drawing = True

    def _find_panel(self):
        self._panel = self._open_panel()
        if self._panel is not None:
            self._panel.set_brightness(self._settings.OLED_BRIGHTNESS_PERCENT)

    def _draw_at_once(self, page):
        """Draw a whole page: only while nothing else runs."""
        if self._panel is not None:
            self._panel.show(page)
            while self._panel.step():
                pass

    def _brightness(self):
        bright = self._settings.OLED_BRIGHTNESS_PERCENT
        if self._dim_redraws and self._redraws - self._news_at >= self._dim_redraws:
            return min(bright, self._settings.OLED_DIM_BRIGHTNESS_PERCENT)
        return bright

    # The page

    def _page(self):
        pack = self._poller.pack
        link = self._poller.link.short
        trouble = pages.network_words(self._session.trouble, self._radio.connected)
        found = active(pack) or []
        self._note((found, link[:1], trouble == "", pack.raw("mode")))
        grave = [fault for fault in found if fault[1] >= PROTECTION]
        self._is_alarm = len(grave) > 0
        if grave:
            which = self._turned(len(grave))
            return pages.alarm(pack, grave[which], f"{which + 1}/{len(grave)}" if len(grave) > 1 else "", self._rows)
        reasons = self._reasons(link, trouble)
        readings = 0 if link else READINGS if self._settings.OLED_PAGE_S else 1
        which = self._turned(len(reasons) + readings)
        if which < len(reasons):
            return reasons[which]
        return self._reading(which - len(reasons), pages.warning(found) or pages.first_words(trouble))

    def _note(self, news):
        """What is new turns the page to the first, and lights the screen up."""
        if news != self._news:
            self._news = news
            self._news_at = self._turned_at = self._redraws
            self._turn = 0

    def _turned(self, count):
        """Which of `count` pages it is the turn of."""
        if self._redraws - self._turned_at >= self._turn_redraws:
            self._turned_at = self._redraws
            self._turn += 1
        return self._turn % count

    def _reasons(self, link, trouble):
        """Pages of what is wrong."""
        reasons = []
        if link:
            reasons.append(pages.no_bms(link, self._version, trouble, self._rows))
        if trouble and not trouble.endswith("..."):  # that is what is waited for, and no trouble yet
            reasons += self._message(trouble)
        problems = self._settings.problems
        for problem in problems[:MOST_PROBLEMS]:
            reasons += self._message(problem)
        if len(problems) > MOST_PROBLEMS:
            reasons += self._message(f"and {len(problems) - MOST_PROBLEMS} more mistakes in settings.toml: see the console")
        return reasons

    def _message(self, text):
        if text not in self._messages:
            if len(self._messages) > 8:
                self._messages.clear()
            self._messages[text] = pages.message(text.replace("settings.toml line", "line"), self._rows)[:MOST_PAGES]
        return self._messages[text]

    def _reading(self, index, notice):
        pack = self._poller.pack
        if index == 0:
            return pages.overview(pack, self._rows, notice)
        if index == 1:
            return pages.cells(pack, self._rows, notice)
        if index == 2:
            return pages.energy(pack, self._rows, notice)
        radio = self._radio
        access_point = radio.ap_info if radio.connected else None
        broker = f"{self._settings.MQTT_BROKER}:{self._settings.MQTT_PORT}"
        return pages.network(
            str(radio.ipv4_address) if radio.ipv4_address else None,
            access_point.rssi if access_point else None,
            broker,
            self._version,
            self._rows,
            notice,
        )
