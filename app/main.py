# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The wiring: makes the parts from the settings and the board, and runs the loop."""

import sys

import board
import microcontroller
import socketpool
import supervisor
import wifi
from adafruit_ticks import ticks_ms

from battery.controls import RESULTS
from battery.pack import Pack
from battery.polarity import Polarity
from battery.readings import poll_periods
from daly.bus import Bus
from daly.commands import BatteryCommands
from daly.poller import Poller
from mqtt.client import MqttClient
from mqtt.homeassistant import Discovery
from mqtt.publisher import Publisher

from .bridge_state import ROWS, BridgeState
from .clock import Clock
from .commands import make_commands
from .console import Console
from .diagnostics import Diagnostics
from .energy_store import EnergyStore
from .events import Events
from .hardware import make_screen, make_ssl_context, make_uart, make_waker
from .loop import Loop
from .nvm_store import NvmStore
from .settings import forget_advice, load
from .version import VERSION
from .watchdog import bounded, feed


def main():
    """Start everything that can be started, print what cannot, and run for ever."""
    print("Daly MQTT bridge", VERSION)
    settings = load(chip_id="".join(f"{byte:02x}" for byte in microcontroller.cpu.uid[-3:]))
    forget_advice()  # loaded again only for a wrong pin
    problems = settings.problems
    reason = str(microcontroller.cpu.reset_reason).split(".")[-1].lower()
    nvm_store = NvmStore(microcontroller.nvm, ticks_ms())
    nvm_store.count_boot(reason)
    screen = make_screen(settings, problems, VERSION)

    uart = make_uart(settings, problems)
    poller = make_poller(settings, nvm_store.polarity, uart is not None)
    if uart is None:
        loop = Loop(ticks_ms, feed)
    else:
        loop = Loop(ticks_ms, feed, "bms", poller.free_ms)
        loop.add("bms", Bus(uart, poller).tick)
    waker = make_waker(settings, poller, problems)
    if waker is not None:
        loop.add("wake", waker.tick)
    feed()

    socket_pool = socketpool.SocketPool(wifi.radio)
    clock = Clock(socket_pool, settings.NTP_SERVER, settings.UTC_OFFSET_MIN)

    def state(now):  # a function, since the parts that publish and show the state are part of it, and made before
        return bridge_state.pairs(now)

    def take_state(now):
        return bridge_state.take_pairs(now)

    publisher = make_publisher(settings, poller, take_state, clock)
    events = Events(poller, ticks_ms())
    loop.add("events", events.tick)

    def report(text):
        publisher.report(text)
        events.print_result(text)

    energy_store = EnergyStore(nvm_store, poller.pack, settings.base_topic, settings.identity, report)
    loop.add("energy store", energy_store.tick)
    battery_commands = BatteryCommands(poller, lambda subject, code: report(f"{subject}: {RESULTS[code]}"))
    loop.add("battery commands", battery_commands.tick)
    diagnostics = Diagnostics(settings, poller, state, loop)
    loop.add("diagnostics", diagnostics.tick)
    loop.add("console", Console(supervisor.runtime, sys.stdin, {"diagnostics": diagnostics.show}).tick)
    commands = make_commands(settings, publisher, diagnostics, battery_commands, clock, energy_store)
    ssl_context = make_ssl_context(settings, problems)
    join = bounded(wifi.radio.connect)
    if screen is not None:
        join = screen.before_blocking(join)
    parts = (publisher, commands, energy_store, "daly-" + settings.identity, ssl_context, join)
    client = MqttClient(settings, wifi.radio, socket_pool, *parts)
    bridge_state = BridgeState(wifi.radio, poller, nvm_store, loop, publisher, client, problems, reason, ticks_ms())
    loop.add("bridge state", bridge_state.tick)
    loop.add("mqtt", client.tick)
    if screen is not None:
        screen.watch(poller, client, wifi.radio)
        loop.add("screen", screen.tick)
    for problem in problems:
        print("Settings:", problem)
    for hint in settings.hints:
        print("Settings, hint:", hint)
    forget_advice()
    loop.run()


def make_poller(settings, polarity, has_uart):
    """The poller of the BMS. `polarity`: of its current as stored, see NvmStore; `has_uart`: the pins are usable."""
    pack = Pack(settings.BMS_CELL_COUNT, settings.BMS_TEMPERATURE_COUNT, Polarity(settings.CURRENT_SIGN, polarity))
    periods = {key: getattr(settings, key) for key in poll_periods()}
    return Poller(
        pack,
        settings.BMS_HOST_ADDRESS,
        settings.BMS_BOARD_NUMBER,
        settings.BMS_REQUEST_FILLER,
        settings.STALE_PERIODS,
        periods,
        has_uart,
    )


def make_publisher(settings, poller, take_state, clock):
    """The publisher. `take_state(now)` returns the pairs for <base>/state."""
    base = settings.base_topic
    discovery = Discovery(
        settings.MQTT_DISCOVERY_PREFIX,
        base,
        settings.identity,
        settings.DEVICE_NAME,
        poller.pack,
        VERSION,
        settings.allowed,
        board.board_id,
        ROWS,
    )
    return Publisher(
        base,
        discovery,
        poller.pack,
        poller,
        take_state,
        1000 * settings.PUBLISH_INTERVAL_S,
        1000 * settings.CELLS_INTERVAL_S,
        settings.DEADBAND_PERCENT,
        settings.PUBLISH_EACH_VALUE,
        settings.MQTT_RETAIN_STATE,
        clock.utc,
    )
