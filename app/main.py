"""The wiring: makes the parts from the settings and the board, and hands them to the loop."""

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
from battery.readings import GROUPS
from daly.bus import Bus
from daly.commands import BatteryCommands
from daly.poller import Poller
from mqtt.client import MqttClient
from mqtt.homeassistant import Discovery
from mqtt.publisher import Publisher

from .bridge_state import ROWS, Health
from .clock import Clock
from .commands import make_commands
from .console import Console
from .diagnostics import Support
from .energy_store import Keeper
from .events import Events
from .hardware import make_screen, make_ssl_context, make_uart, make_waker
from .loop import Loop
from .nvm_store import Memory
from .settings import forget_advice, load
from .version import VERSION
from .watchdog import bounded, feed


def main():
    """Start everything that can be started, say what cannot, and run for ever."""
    print("Daly MQTT bridge", VERSION)
    settings = load(chip_id="".join(f"{byte:02x}" for byte in microcontroller.cpu.uid[-3:]))
    forget_advice()  # a wrong pin may bring it back
    problems = settings.problems
    reason = str(microcontroller.cpu.reset_reason).split(".")[-1].lower()
    memory = Memory(microcontroller.nvm, ticks_ms())
    memory.count_start(reason)
    screen = make_screen(settings, problems, VERSION)

    jobs: list = []
    uart = make_uart(settings, problems)
    poller = make_poller(settings, memory.polarity, uart is not None)
    if uart is not None:
        jobs.append(("bms", Bus(uart, poller).tick))
    waker = make_waker(settings, poller, problems)
    if waker is not None:
        jobs.append(("wake", waker.tick))
    feed()
    loop = Loop(ticks_ms, jobs, feed, "bms" if uart is not None else None)

    socket_pool = socketpool.SocketPool(wifi.radio)
    clock = Clock(socket_pool, settings.NTP_SERVER, settings.UTC_OFFSET_MIN)

    def state(now):  # whoever publishes and shows the state is part of it, and is made before
        return health.pairs(now)

    def take_state(now):
        return health.take_pairs(now)

    publisher = make_publisher(settings, poller, take_state, clock)
    events = Events(poller, ticks_ms())
    jobs.append(("events", events.tick))

    def report(text):
        publisher.report(text)
        events.say(text)

    keeper = Keeper(memory, poller.pack, settings.base_topic, settings.identity, report)
    jobs.append(("memory", keeper.tick))
    control = BatteryCommands(poller, lambda subject, code: report(f"{subject}: {RESULTS[code]}"))
    jobs.append(("control", control.tick))
    support = Support(settings, poller, state, loop)
    jobs.append(("support", support.tick))
    jobs.append(("console", Console(supervisor.runtime, sys.stdin, {"support": support.show}).tick))
    commands = make_commands(settings, publisher, support, control, clock, keeper)
    ssl_context = make_ssl_context(settings, problems)
    join = bounded(wifi.radio.connect)
    if screen is not None:
        join = screen.before_blocking(join)
    parts = (publisher, commands, keeper, "daly-" + settings.identity, ssl_context, join)
    client = MqttClient(settings, wifi.radio, socket_pool, *parts)
    health = Health(wifi.radio, poller, memory, loop, publisher, client, problems, reason, ticks_ms())
    jobs.append(("health", health.tick))
    jobs.append(("mqtt", client.tick))
    if screen is not None:
        screen.watch(poller, client, wifi.radio)
        jobs.append(("screen", screen.tick))
    for problem in problems:
        print("Settings:", problem)
    for hint in settings.hints:
        print("Settings, a hint:", hint)
    forget_advice()
    loop.run()


def make_poller(settings, polarity, has_uart):
    """The conversation with the BMS; `polarity`: which direction is charging, as kept from before."""
    pack = Pack(settings.BMS_CELL_COUNT, settings.BMS_TEMPERATURE_COUNT, Polarity(settings.CURRENT_SIGN, polarity))
    periods = {group.setting: getattr(settings, group.setting) for group in GROUPS.values() if group.setting}
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
    """What is said to the broker."""
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
