# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A subscriber of the embedded broker in a thread of its own: what it gets is what the live view shows."""

from __future__ import annotations

from collections.abc import Callable

from paho.mqtt.client import CallbackAPIVersion, Client

OFF = "the broker is off: nobody receives anything"


def subscribe(
    port: int, taken: Callable[[str, str], None], connected: Callable[[], None], lost: Callable[[str], None]
) -> Client:
    """Subscribe to everything on that port of this computer, and again whenever the broker returns; `loop_stop()` ends it."""
    client = Client(CallbackAPIVersion.VERSION2)

    def on_connect(client, _data, _flags, reason, _properties):
        if not reason.is_failure:
            connected()
            client.subscribe("#")

    client.on_connect = on_connect
    client.on_disconnect = lambda *_: lost(OFF)
    client.on_message = lambda _client, _data, message: taken(message.topic, message.payload.decode("utf-8", "replace"))
    client.reconnect_delay_set(1, 1)
    client.connect_async("127.0.0.1", port, keepalive=15)
    client.loop_start()
    return client
