# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which page is shown, when it is drawn, and when the panel is dimmed, refreshed or looked for again.

Problems come first: an active protection or fault has the screen for itself, without a BMS only the reasons are shown, and
trouble with the network or mistakes in the settings come before the readings. The pages of several batteries are in several.py.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.alarms import PROTECTION, active

from . import pages

REDRAW_MS = 1000
RETRY_REDRAWS = 30  # half a minute between two attempts to find a missing panel
RENEW_REDRAWS = 60  # a minute between two initializations of the controller
MESSAGE_REDRAWS = 4  # how long a page of trouble is shown where pages are not turned
MOST_PROBLEMS = 3  # mistakes in the settings that are shown; the console lists all
MOST_PAGES = 4  # of one sentence: enough for all but the list of a board's pins
READINGS = 4  # pages of the battery
_PER_SECOND = 1000 // REDRAW_MS


class Screen:
    """Draws the current page on the Panel that `open_panel()` returns; None: there is none now.

    `settings` are the OLED_* ones, the broker's place, and `problems`, the mistakes in them.
    """

    def __init__(self, open_panel, settings, version):
        self._open_panel = open_panel
        self._settings = settings
        self._version = version
        self._rows = pages.TALL if settings.OLED_HEIGHT == 64 else pages.SHORT
        self._page_redraws = settings.OLED_PAGE_S * _PER_SECOND or MESSAGE_REDRAWS
        self._dim_redraws = settings.OLED_DIM_AFTER_MIN * 60 * _PER_SECOND
        self._panel = None
        self._batteries: list = []
        self._several = self._client = self._radio = None
        self._more = None  # further pages, with `count`, `changes` and `page(index, rows)`
        self._next = None  # tick at which the page is made again
        self._drawing = False
        self._steps = None  # of several batteries: the page that is being made
        self._is_alarm = False
        self._redraws = 0
        self._page_index = 0  # counts the pages turned
        self._page_turned_at = 0
        self._changes = None  # of the packs, as shown last; None: the page has to be made
        self._codes = self._trouble = self._connected = None  # of the BMS, MQTT client and Wi-Fi, as shown last
        self._activity = None  # what was new last: alarms, BMS and network state, mode
        self._activity_at = 0
        self._messages: dict = {}  # sentence -> its pages
        self._find_panel()
        self._draw_at_once(pages.starting(version, "starting ...", self._rows))

    def watch(self, batteries, bank, client, radio):
        """Show these from now on: the Battery tuples, their bank (None: there is only one), the MqttClient and wifi.radio."""
        self._batteries = batteries
        if bank is not None:
            from .several import Several  # 4 KB, only with several batteries

            self._several = Several(self, batteries, bank, self._rows, self._settings.OLED_PAGE_S > 0)
        self._client = client
        self._radio = radio
        self._draw_at_once(self._page())

    def add_pages(self, more):
        """Show these after the readings: `count` pages, made by `page(index, rows)`; `changes` counts up with each change."""
        self._more = more

    def tick(self, now):
        """Draw one line that has changed; once a second, make the page again. Returns the ms until the next call is due."""
        if self._drawing:
            self._drawing = self._panel.step()
            return 0
        if self._steps is not None:
            steps = self._steps
            self._steps = None  # first: after an exception there is nothing left of them
            page = next(steps)
            if page is None:
                self._steps = steps
            else:
                self._show(page)
            return 0
        if self._next is None or ticks_diff(now, self._next) >= 0:
            self._next = ticks_add(now, REDRAW_MS)
            self._redraws += 1
            self._redraw()
            return 0
        return ticks_diff(self._next, now)

    def show_text(self, text, which):
        """Draw one page of a sentence at once: the one with this index, from the first again after the last."""
        message = pages.message(text, self._rows)
        self._draw_at_once(message[which % len(message)])

    def before_blocking(self, wait):
        """A function that shows a page without numbers and then calls `wait`, which blocks: numbers would become outdated."""

        def shown_before(*arguments, **named):
            if not (self._is_alarm if self._several is None else self._several.is_alarm):
                self._draw_at_once(pages.starting(self._version, "Joining Wi-Fi ...", self._rows))
            return wait(*arguments, **named)

        return shown_before

    def sleep(self):
        """Off: it would show for hours what was true for a moment."""
        if self._panel is not None:
            self._panel.set_brightness(0)

    # The panel

    def _redraw(self):
        if self._panel is None:
            if self._redraws % RETRY_REDRAWS == 0:
                self._find_panel()
        elif not self._panel.is_there():
            print("The OLED does not respond any more; continuing without it, and looking for it.")
            self._panel.close()
            self._panel = None
        else:
            if self._redraws % RENEW_REDRAWS == 0:
                self._panel.renew()
                self._drawing = True
            if self._has_changed():
                if self._several is None:
                    self._show(self._page())
                else:
                    self._steps = self._several.steps(self._network_words())
            self._panel.set_brightness(self._brightness())

    def _show(self, page):
        self._panel.show(page)
        self._drawing = True

    def _has_changed(self):
        """Whether another page may have to be shown; a page that is made for nothing would be half of all garbage."""
        changes = codes = 0
        online = False
        for battery in self._batteries:
            diagnosis = battery.poller.diagnosis
            changes += battery.pack.changes
            codes = codes * 256 + diagnosis.code
            online = online or battery.poller.online
        if self._more is not None:
            changes += self._more.changes
        is_same = self._changes == changes and self._codes == codes and self._trouble is self._client.trouble
        is_same = is_same and self._connected == self._radio.connected
        if is_same and online and self._redraws - self._page_turned_at < self._page_redraws:
            return False
        self._changes = changes
        self._codes = codes
        self._trouble = self._client.trouble
        self._connected = self._radio.connected
        return True

    def _find_panel(self):
        self._changes = None
        self._panel = self._open_panel()
        if self._panel is not None:
            self._panel.set_brightness(self._settings.OLED_BRIGHTNESS_PERCENT)

    def _draw_at_once(self, page):
        """Draw a complete page; it blocks, so only at start and before a blocking call."""
        self._changes = self._steps = None
        if self._panel is not None:
            self._panel.show(page)
            while self._panel.step():
                pass

    def _brightness(self):
        bright = self._settings.OLED_BRIGHTNESS_PERCENT
        if self._dim_redraws and self._redraws - self._activity_at >= self._dim_redraws:
            return min(bright, self._settings.OLED_DIM_BRIGHTNESS_PERCENT)
        return bright

    # The page

    def _page(self):
        trouble = self._network_words()
        if self._several is not None:
            steps = self._several.steps(trouble)
            page = None
            while page is None:
                page = next(steps)
            return page
        battery = self._batteries[0]
        pack = battery.pack
        link = battery.poller.diagnosis.short
        found = active(pack) or []
        self.note_activity((found, link[:1], pack.raw("mode")))
        grave = [fault for fault in found if fault[1] >= PROTECTION]
        self._is_alarm = len(grave) > 0
        if grave:
            which = self.current_page(len(grave))
            return pages.alarm(pack, grave[which], f"{which + 1}/{len(grave)}" if len(grave) > 1 else "", self._rows)
        reasons = self.reasons(trouble)
        if link:
            reasons.insert(0, pages.no_bms(link, self._version, trouble, self._rows))
        readings = 0 if link else READINGS if self._settings.OLED_PAGE_S else 1
        which = self.current_page(len(reasons) + readings + self.count_more())
        if which < len(reasons):
            return reasons[which]
        which -= len(reasons)
        if which >= readings:
            return self.more(which - readings)
        return self._reading(which, pages.warning(found) or pages.first_words(trouble))

    def count_more(self):
        """How many further pages there are; none where pages are not turned."""
        return self._more.count if self._more is not None and self._settings.OLED_PAGE_S else 0

    def more(self, index):
        """One of them."""
        return self._more.page(index, self._rows)

    def _network_words(self):
        """Trouble with the network, or what is waited for; "" while connected."""
        trouble = self._client.trouble
        if trouble is None:
            return ""
        return pages.network_words(trouble, self._radio.connected) or self._client.trouble_text

    def note_activity(self, activity):
        """A change, also of whether there is a connection, shows the first page and ends the dimming."""
        activity = (activity, self._client.trouble is None)
        if activity != self._activity:
            self._activity = activity
            self._activity_at = self._page_turned_at = self._redraws
            self._page_index = 0

    def current_page(self, count):
        """Index of the current one of `count` pages."""
        if self._redraws - self._page_turned_at >= self._page_redraws:
            self._page_turned_at = self._redraws
            self._page_index += 1
        return self._page_index % count

    def reasons(self, trouble):
        """The pages on what is wrong with the network, `trouble` in words, and with the settings."""
        reasons = []
        now = self._client.trouble  # which may have ended since the words: pages are made in pieces
        if trouble and now is not None and not pages.is_waiting(now):
            reasons += self._message(trouble)
        problems = self._settings.problems
        for problem in problems[:MOST_PROBLEMS]:
            reasons += self._message(problem)
        if len(problems) > MOST_PROBLEMS:
            reasons += self._message(f"and {len(problems) - MOST_PROBLEMS} more mistakes in settings.toml, see the console")
        return reasons

    def _message(self, text):
        if text not in self._messages:
            if len(self._messages) > 8:
                self._messages.clear()
            self._messages[text] = pages.message(text.replace("settings.toml line", "line"), self._rows)[:MOST_PAGES]
        return self._messages[text]

    def _reading(self, index, notice):
        pack = self._batteries[0].pack
        if index == 0:
            return pages.overview(pack, self._rows, notice)
        if index == 1:
            return pages.cells(pack, self._rows, notice)
        if index == 2:
            return pages.energy(pack, self._rows, notice)
        return self.network(notice)

    def network(self, notice):
        """The page of our address, the Wi-Fi and the broker."""
        radio = self._radio
        access_point = radio.ap_info if radio.connected else None
        settings = self._settings
        broker = self._client.broker if settings.MQTT_BROKER else "page only, no broker"
        port = "" if settings.WEB_PORT in (0, 80) else f":{settings.WEB_PORT}"
        return pages.network(
            str(radio.ipv4_address) + port if radio.ipv4_address else None,
            access_point.rssi if access_point else None,
            broker,
            self._version,
            self._rows,
            notice,
        )
