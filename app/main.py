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

# needed to start only
ONCE = (
    "app.settings",
    "app.advice",
    "app.plausible",
    "app.batteries",
    "app.extras",
    "app.hardware",
    "app.identity",
    "app.memory",
)

# the most discovery messages of each source there can be, PER_MESSAGE rows of battery/sources.py in each
SOURCES = (("outputs", 5), ("temperatures", 4), ("vedirect1", 7), ("vedirect2", 7), ("supply", 1))


def main():
    """Start everything that can be started, and print what cannot. Returns the Loop, which has to be run."""
    print("Daly MQTT bridge", VERSION)
    free = memory.check()
    from .nvm_store import WOKEN, NvmStore  # before what is large: a look at the chip's memory takes 8 KB in one piece

    reason = WOKEN if has_slept() else str(microcontroller.cpu.reset_reason).split(".")[-1].lower()
    nvm_store = NvmStore(microcontroller.nvm, ticks_ms())
    nvm_store.count_boot(reason)
    settings, screen, uarts, wake_pin, ssl_context, extras = make_hardware(free, nvm_store.owners())
    for name in ONCE:
        unload(name)
    parts = make_bms(settings, nvm_store, uarts, wake_pin)
    loop = make_network(settings, nvm_store, reason, screen, ssl_context, extras, *parts)
    for name in ("app.extras_hardware", "battery.controls"):
        unload(name)
    return loop


def has_slept():
    """Whether the chip wakes from deep sleep. With a computer on USB CircuitPython only waits instead of sleeping: the same."""
    try:
        import alarm  # here, because a firmware built without it must start, too

        return alarm.wake_alarm is not None
    except ImportError:
        return False


def make_hardware(free, owners):
    """(settings, screen, UARTs, Pin of the wake line, ssl context, Extras); all but settings and UARTs may be None.

    The screen comes first: it says what is wrong. `free`: bytes of memory at the start; None: not known. `owners`: the bridges
    that the counters in the chip's memory belong to, as numbers.
    """
    from . import identity
    from .kept import Values
    from .settings import KEPT, load

    chip_id = identity.chip_id(microcontroller.cpu.uid, owners)
    settings = load(chip_id=chip_id, has_room=memory.has_room(free), board_id=getattr(board, "board_id", ""))
    unload("app.plausible")
    unload("app.advice")  # loaded again only for a wrong pin
    from .hardware import make_screen, make_ssl_context, make_uarts, make_wake_pin

    problems = settings.problems
    memory.limit_batteries(settings, free)
    values = Values(settings, KEPT + settings.more)
    screen = make_screen(settings, problems, VERSION, values)
    uarts = make_uarts(settings, problems)
    wake_pin = make_wake_pin(settings, problems)
    ssl_context = make_ssl_context(settings, problems, memory.NEEDED)
    extras = None
    if settings.has_extras:
        from .extras_hardware import make  # only with outputs, sensors, LED or sleep

        extras = make(settings, problems)
    for problem in problems:
        print("Settings:", problem)
    own = identity.hint(settings, chip_id)
    for hint in settings.hints + ([own] if own else []):
        print("Settings, hint:", hint)
    return values, screen, uarts, wake_pin, ssl_context, extras


def make_bms(settings, nvm_store, uarts, wake_pin):
    """(Loop, buses, batteries, Writer): what reads the BMS, and the buffer of the messages, taken before more is loaded.

    `uarts`: number -> UART, or None where there is none; `wake_pin`: None where there is none; buses: UART -> Bus.
    """
    from battery.json import LARGEST, Writer
    from daly.bus import Bus

    from .loop import Loop
    from .watchdog import feed

    writer = Writer(LARGEST)
    batteries = make_batteries(settings, nvm_store, uarts)
    buses = {}
    for number in sorted(uarts):
        on_line = [battery.poller for board, battery in zip(settings.boards, batteries) if board.uart == number]
        if uarts[number] is not None:
            buses[number] = Bus(uarts[number], on_line)
    line = line_of(buses)
    if line is None:
        loop = Loop(ticks_ms, feed)
    else:
        loop = Loop(ticks_ms, feed, "bms", line.free_ms)
        loop.add("bms", line.tick)
    if wake_pin is not None:
        from outputs.wake import Waker  # loaded only with WAKE_PIN

        limits = (settings.WAKE_INTERVAL_MIN, settings.WAKE_MIN_SOC_PERCENT, settings.WAKE_MIN_CELL_MV)
        loop.add("wake", Waker(batteries[0].poller, wake_pin.drive, *limits).tick)
    feed()
    return loop, buses, batteries, writer


def line_of(buses):
    """What reads all lines; None: there is no UART."""
    if len(buses) < 2:
        return buses[min(buses)] if buses else None
    from daly.buses import Buses  # only with a second UART

    return Buses([buses[number] for number in sorted(buses)])


def make_batteries(settings, nvm_store, uarts):
    """The Battery of each of the settings' boards."""
    from battery.pack import Battery, Pack
    from battery.polarity import Polarity
    from battery.readings import poll_periods
    from daly.poller import Poller

    nvm_store.use([board.number for board in settings.boards])
    periods = {key: getattr(settings, key) for key in poll_periods()}
    batteries = []
    for one in settings.boards:
        key = "BMS_PROTOCOL" if one.uart == 1 else f"UART_{one.uart}_PROTOCOL"
        stored = nvm_store.record(one.number)
        polarity = Polarity(settings.CURRENT_SIGN, stored.polarity, one.label or "BMS")
        pack = Pack(settings.BMS_CELL_COUNT, settings.BMS_TEMPERATURE_COUNT, polarity)
        arguments = (
            pack,
            settings.BMS_HOST_ADDRESS if one.uart == 1 else 0,
            one.board_number,
            settings.BMS_REQUEST_FILLER,
            settings.STALE_PERIODS,
            periods,
            uarts[one.uart] is not None,
            getattr(settings, key),
            stored.protocol,
        )
        if len([board for board in settings.boards if board.uart == one.uart]) == 1:
            poller = Poller(*arguments)
        else:
            from daly.shared import SharedPoller  # only where a line has several boards

            poller = SharedPoller(*arguments)
        poller.diagnosis.note_uart(one.uart)
        batteries.append(Battery(one.number, f"bms{one.number}", one.name, one.label, pack, poller))
    return batteries


def make_network(settings, nvm_store, reason, screen, ssl_context, extras, loop, buses, batteries, writer):
    """The parts that publish, execute commands and show; returns the Loop with all of them among its jobs."""
    import wifi

    from mqtt.client import START_SPREAD_MS, MqttClient

    from .bridge_state import BridgeState
    from .commands import make_commands, make_scan
    from .console import Console
    from .diagnostics import Diagnostics
    from .energy_store import EnergyStores
    from .events import Events
    from .kept import AfterFirstResponse
    from .watchdog import bounded

    socket_pool = socketpool.SocketPool(wifi.radio)
    clock = None
    if "soc" in settings.allowed:
        from .clock import Clock  # only to set the state of charge

        clock = Clock(socket_pool, settings.NTP_SERVER, settings.UTC_OFFSET_MIN)
    poller = poller_of(batteries)
    bridge_state = BridgeState(wifi.radio, poller, nvm_store, loop, settings.problems, reason, ticks_ms())
    sources = () if extras is None else extras.sources
    sleep = None if extras is None else extras.sleep
    take_pairs = bridge_state.take_pairs if sleep is None else sleep.with_missed(bridge_state.take_pairs)
    address = None
    if settings.WEB_PORT:
        from .web import Address  # with the server, only with a page

        address = Address(wifi.radio, settings.WEB_PORT)
    page = None if address is None else address.text
    publisher = make_publisher(settings, batteries, writer, take_pairs, clock, sources, sleep, page)
    events = [Events(battery, ticks_ms(), publisher.report) for battery in batteries]
    publish = (publisher.report, publisher.publish, settings.MQTT_RETAIN_STATE)
    energy_stores = EnergyStores(nvm_store, batteries, settings.base_topic, settings.identity, *publish, counts=sleep is None)
    battery_commands = None
    if len(settings.allowed):
        from daly.commands import BatteryCommands  # 2 KB, only with ALLOW_CONTROL

        battery_commands = [BatteryCommands(each.poller, its.report_result) for each, its in zip(batteries, events)]
        loop.add("battery commands", tick_of(battery_commands))
    diagnostics = Diagnostics(settings, batteries, bridge_state.pairs, loop)
    scan = make_scan(buses, settings.boards, batteries)
    console = Console(supervisor.runtime, sys.stdin, {"diagnostics": diagnostics.show, "scan": scan})
    commands = make_commands(settings, publisher, diagnostics, scan, batteries, battery_commands, clock, energy_stores)
    join = bounded(wifi.radio.connect)
    if screen is not None:
        join = screen.before_blocking(join)
    keys = [battery.key for battery in batteries]
    states = [source.key for source in sources]
    gone = left_behind(settings, sources, () if extras is None else extras.named, len(batteries))
    parts = (publisher, commands, energy_stores, settings.client_id, ssl_context, join, keys, states, gone)
    make_client = MqttClient
    if sleep is not None:
        from mqtt.sleeping import SleepingClient as make_client  # only with SLEEP_MINUTES

    client = make_client(settings, wifi.radio, socket_pool, *parts, START_SPREAD_MS if reason == "power_on" else 0)
    bridge_state.watch(publisher, client)
    loop.add("events", tick_of(events))
    loop.add("energy store", energy_stores.tick)
    loop.add("diagnostics", diagnostics.tick)
    loop.add("console", console.tick)
    loop.add("bridge state", bridge_state.tick)
    if sleep is not None and sleep.is_woken:
        loop.add("mqtt", sleep.gate(batteries, client.tick, ticks_ms()).tick)
    else:
        loop.add("mqtt", AfterFirstResponse(poller, client.tick, ticks_ms()).tick, is_begun=publisher.is_begun)
    bank = make_bank(settings, batteries)
    if screen is not None:
        screen.watch(batteries, bank, client, wifi.radio)
        loop.add("screen", screen.tick)
    if extras is not None:
        from .extras_hardware import connect

        connect(extras, settings, loop, batteries, bank, publisher, commands, client, screen, clock, energy_stores)
    if address is not None:
        from .web import connect as connect_page

        of_page = (address, settings, loop, socket_pool, wifi.radio)
        connect_page(*of_page, batteries, bank, sources, bridge_state, client, diagnostics)
    if sleep is not None:
        dark = [part for part in (screen, extras.led) if part is not None]
        sleep.watch(batteries, publisher, client, nvm_store, dark, battery_commands or ())
        loop.add("sleep", sleep.tick)
    return loop


def left_behind(settings, sources, named, batteries=1):
    """The topics on which an earlier start may have left something of what the settings do not name any more.

    `named`: keys of the sensors that they name, also where one of them could not be made; `batteries`: how many.
    """
    topics = [] if batteries > 1 else [settings.base_topic + "/bank/state"]
    for key, most in SOURCES:
        first = 0
        for source in sources:
            if source.key == "outputs" == key:
                from battery.sources import PER_MESSAGE  # which is there already

                first = (len(source.rows) + PER_MESSAGE - 1) // PER_MESSAGE
        if first == 0 and key not in named:
            topics.append(f"{settings.base_topic}/{key}/state")
        if not settings.MQTT_DISCOVERY:  # a broker that lets a bridge see its own topics only would refuse them all
            continue
        for message in range(most if key in named else first, most):
            end = f"_{message + 1}" if message else ""
            topics.append(f"{settings.MQTT_DISCOVERY_PREFIX}/device/daly_{settings.identity}_{key}{end}/config")
    return topics


def poller_of(batteries):
    """What the state of the bridge is told of: the poller, or all of them as one."""
    if len(batteries) == 1:
        return batteries[0].poller
    from .several import Pollers

    return Pollers(batteries)


def make_bank(settings, batteries):
    """The bank as the screen shows it; None: there is only one battery."""
    if len(batteries) == 1:
        return None
    from battery.bank import Bank  # only with several batteries

    return Bank(batteries, settings.BANK_WIRING == "series")


def tick_of(parts):
    """One job out of a part of each battery, and the tick itself where there is only one."""
    if len(parts) == 1:
        return parts[0].tick
    from .several import Each

    return Each([part.tick for part in parts]).tick


def make_publisher(settings, batteries, writer, take_state, clock, sources, sleep, page):
    """The publisher. `writer`: for its messages; `take_state(now)` returns the pairs for <base>/state; `clock` None: the time
    of day is not known; `sources`: of battery/sources.py; `sleep`: None: it does not; `page()` returns
    the page's address; None: there is none.
    """
    from mqtt.publisher import LoadedDiscovery, Publisher

    base = settings.base_topic
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
        0 if sleep is None else sleep.valid_s,
        page,
        settings.MQTT_VERSION_TOPIC,
        sources=sources,
        is_wanted=settings.MQTT_DISCOVERY,
    )
    make = Publisher
    if sleep is not None:
        from mqtt.sleeping import SleepingPublisher as make

    return make(
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
        len(batteries) > 1 and settings.BANK_WIRING == "series",
        sources,
        settings.PUBLISH_VICTRON,
    )
