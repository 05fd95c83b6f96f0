# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's wifi: the PC's network is the access point, unless host/trouble.py has a fault.

Connected from the start, as a board is whose settings.toml names CIRCUITPY_WIFI_SSID: it joins before code.py runs. A
failed join takes as long as in ports/espressif/common-hal/wifi: a scan of all channels; or, without an address, until an
exception is pending.
"""

from __future__ import annotations

import ipaddress as _ipaddress

from host import chip as _chip
from host import trouble as _trouble

_MAC = b"\x02\xda\x1b\xc0\xff\xee"
_SCAN_S = 2.4  # 13 channels of 120 ms and more
_HANDSHAKE_S = 4.0  # until the access point refuses a wrong password


class AuthMode(_chip.Name):
    OPEN = 1
    WEP = 2
    WPA = 3
    WPA2 = 4
    WPA3 = 5
    PSK = 6
    ENTERPRISE = 7


class Network:
    ssid = "the PC's network"
    bssid = b"\x02\xda\x1b\xc0\xff\xef"
    rssi = -50
    channel = 1
    country = ""
    authmode = [AuthMode.WPA2, AuthMode.PSK]


class Radio:
    def __init__(self) -> None:
        self._enabled = True
        self._connected = True
        self.hostname = "cpy-host"
        self.mac_address = _MAC
        self.tx_power = 20.0

    @property
    def enabled(self) -> bool:
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        self._enabled = value
        self._connected = self._connected and value

    def connect(self, ssid, password=b"", *, channel=0, bssid=None, timeout=None) -> None:
        if not 1 <= len(ssid) <= 32:
            raise ValueError("ssid length must be 1-32")
        if password and not 8 <= len(password) <= 63:
            raise ValueError("password length must be 8-63")
        if not self._enabled:
            raise RuntimeError("wifi is not enabled")
        if self.connected:
            return
        _fail_to_join(_trouble.of("wifi"))
        if _trouble.channel != _trouble.of("channel"):
            _chip.clock.sleep(_SCAN_S)
            _trouble.channel = _trouble.of("channel")
        if _chip.on_join is not None:
            _chip.on_join()
        self._connected = True
        while _trouble.of("dhcp") == "gone":
            _chip.clock.sleep(0.05)

    @property
    def connected(self) -> bool:
        self._connected = self._connected and not _trouble.of("wifi") and _trouble.channel == _trouble.of("channel")
        return self._connected

    @property
    def ipv4_address(self) -> _ipaddress.IPv4Address | None:
        if not self.connected or _trouble.of("dhcp"):
            return None
        return _ipaddress.IPv4Address(_trouble.of("address") or _chip.network.own_address())

    @property
    def ap_info(self) -> Network | None:
        return Network() if self.connected else None

    def stop_station(self) -> None:
        self._connected = False

    def start_station(self) -> None:
        pass


def _fail_to_join(trouble: str) -> None:
    if trouble == "off":
        _chip.clock.sleep(_SCAN_S)
        raise ConnectionError("No network with that ssid")
    if trouble == "password":
        _chip.clock.sleep(_HANDSHAKE_S)
        raise ConnectionError("Authentication failure")


radio = Radio()
