# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The wiring: makes the parts from the settings and the board. Unloaded before the loop runs, and so is what only it needs.

A function of this module, or of another one that is unloaded, must not be passed to a part: it would keep the whole module.
"""

import sys

import board
import microcontroller
import socketpool
import supervisor
from adafruit_ticks import ticks_ms

from battery.unload import unload

from . import memory
from .version import VERSION

ONCE = ("app.settings", "app.advice", "app.hardware", "app.memory")  # needed to start only


def main():
    """Start everything that can be started, and print what cannot. Returns the Loop, which has to be run."""
    print("Daly MQTT bridge", VERSION)
    memory.check()
    from .nvm_store import NvmStore  # before what is large: a look at the chip's memory takes 8 KB in one piece

    reason = str(microcontroller.cpu.reset_reason).split(".")[-1].lower()
    nvm_store = NvmStore(microcontroller.nvm, ticks_ms())
    nvm_store.count_boot(reason)
    settings, screen, uart, wake_pin, ssl_context = make_hardware()
    for name in ONCE:
        unload(name)
    parts = make_bms(settings, nvm_store, uart, wake_pin)
    return make_network(settings, nvm_store, reason, screen, ssl_context, *parts)


def make_hardware():
    """(settings, screen, UART, WakePin, ssl context); all but the settings may be None. First the screen, which says so."""
    from .kept import Values
    from .settings import KEPT, load

    settings = load(chip_id="".join(f"{byte:02x}" for byte in microcontroller.cpu.uid[-3:]))
    unload("app.advice")  # loaded again only for a wrong pin
    from .hardware import make_screen, make_ssl_context, make_uart, make_wake_pin

    problems = settings.problems
    values = Values(settings, KEPT)
    screen = make_screen(settings, problems, VERSION, values)
    uart = make_uart(settings, problems)
    wake_pin = make_wake_pin(settings, problems)
    ssl_context = make_ssl_context(settings, problems, memory.NEEDED)
    for problem in problems:
        print("Settings:", problem)
    for hint in settings.hints:
        print("Settings, hint:", hint)
    return values, screen, uart, wake_pin, ssl_context


def make_bms(settings, nvm_store, uart, wake_pin):
    """(Loop, Poller, Writer): what reads the BMS, and the buffer of the messages, which is taken before more is loaded.

    `uart`, `wake_pin`: None where there is none.
    """
    from battery.json import LARGEST, Writer
    from battery.pack import Pack
    from battery.polarity import Polarity
    from battery.readings import poll_periods
    from daly.bus import Bus
    from daly.poller import Poller

    from .loop import Loop
    from .watchdog import feed

    writer = Writer(LARGEST)
    polarity = Polarity(settings.CURRENT_SIGN, nvm_store.polarity)
    poller = Poller(
        Pack(settings.BMS_CELL_COUNT, settings.BMS_TEMPERATURE_COUNT, polarity),
        settings.BMS_HOST_ADDRESS,
        settings.BMS_BOARD_NUMBER,
        settings.BMS_REQUEST_FILLER,
        settings.STALE_PERIODS,
        {key: getattr(settings, key) for key in poll_periods()},
        uart is not None,
        settings.BMS_PROTOCOL,
        nvm_store.protocol,
    )
    if uart is None:
        loop = Loop(ticks_ms, feed)
    else:
        loop = Loop(ticks_ms, feed, "bms", poller.free_ms)
        loop.add("bms", Bus(uart, poller).tick)
    if wake_pin is not None:
        from daly.wake import Waker  # loaded only with WAKE_PIN

        limits = (settings.WAKE_INTERVAL_MIN, settings.WAKE_MIN_SOC_PERCENT, settings.WAKE_MIN_CELL_MV)
        loop.add("wake", Waker(poller, wake_pin.drive, *limits).tick)
    feed()
    return loop, poller, writer


def make_network(settings, nvm_store, reason, screen, ssl_context, loop, poller, writer):
    """The parts that publish, execute commands and show; returns the Loop with all of them among its jobs."""
    import wifi

    from battery.pack import Battery
    from mqtt.client import MqttClient

    from .bridge_state import BridgeState
    from .commands import make_commands
    from .console import Console
    from .diagnostics import Diagnostics
    from .energy_store import EnergyStore
    from .events import Events
    from .kept import AfterFirstResponse
    from .watchdog import bounded

    socket_pool = socketpool.SocketPool(wifi.radio)
    clock = None
    if "soc" in settings.allowed:
        from .clock import Clock  # only to set the state of charge

        clock = Clock(socket_pool, settings.NTP_SERVER, settings.UTC_OFFSET_MIN)
    bridge_state = BridgeState(wifi.radio, poller, nvm_store, loop, settings.problems, reason, ticks_ms())
    publisher = make_publisher(settings, poller, writer, bridge_state.take_pairs, clock)
    events = Events(poller, ticks_ms(), publisher.report)
    energy_store = EnergyStore(nvm_store, poller.pack, settings.base_topic, settings.identity, events.report, poller)
    battery_commands = None
    if len(settings.allowed):
        from daly.commands import BatteryCommands  # 2 KB, only with ALLOW_CONTROL

        battery_commands = BatteryCommands(poller, events.report_result)
        loop.add("battery commands", battery_commands.tick)
    diagnostics = Diagnostics(settings, poller, bridge_state.pairs, loop)
    console = Console(supervisor.runtime, sys.stdin, {"diagnostics": diagnostics.show})
    commands = make_commands(settings, publisher, diagnostics, battery_commands, clock, energy_store)
    join = bounded(wifi.radio.connect)
    if screen is not None:
        join = screen.before_blocking(join)
    parts = (publisher, commands, energy_store, "daly-" + settings.identity, ssl_context, join)
    client = MqttClient(settings, wifi.radio, socket_pool, *parts)
    bridge_state.watch(publisher, client)
    loop.add("events", events.tick)
    loop.add("energy store", energy_store.tick)
    loop.add("diagnostics", diagnostics.tick)
    loop.add("console", console.tick)
    loop.add("bridge state", bridge_state.tick)
    loop.add("mqtt", AfterFirstResponse(poller, client.tick, ticks_ms()).tick)
    if screen is not None:
        screen.watch((Battery(1, "bms1", settings.DEVICE_NAME, "", poller.pack, poller),), None, client, wifi.radio)
        loop.add("screen", screen.tick)
    return loop


def make_publisher(settings, poller, writer, take_state, clock):
    """The publisher. `writer`: for its messages; `take_state(now)` returns the pairs for <base>/state; `clock` None: the time
    of day is not known.
    """
    from battery.pack import Battery
    from mqtt.publisher import LoadedDiscovery, Publisher

    base = settings.base_topic
    batteries = [Battery(1, "bms1", settings.DEVICE_NAME, "", poller.pack, poller)]
    discovery = LoadedDiscovery(
        writer,
        settings.MQTT_DISCOVERY_PREFIX,
        base,
        settings.identity,
        settings.DEVICE_NAME,
        batteries,
        VERSION,
        settings.allowed,
        board.board_id,
        True,
    )
    return Publisher(
        base,
        discovery,
        batteries,
        take_state,
        1000 * settings.PUBLISH_INTERVAL_S,
        1000 * settings.CELLS_INTERVAL_S,
        settings.DEADBAND_PERCENT,
        settings.PUBLISH_EACH_VALUE,
        settings.MQTT_RETAIN_STATE,
        None if clock is None else clock.utc,
    )
