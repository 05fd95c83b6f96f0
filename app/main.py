"""The wiring: makes the parts from the settings and the board, and hands them to the loop."""

import random
import sys

import board
import busio
import digitalio
import microcontroller
import socketpool
import supervisor
import wifi
from adafruit_ticks import ticks_ms

from daly.pack import Pack
from daly.poller import Poller
from daly.port import RECEIVE_BUFFER_SIZE, Port
from daly.wake import Waker
from display import pages
from display.screen import Screen
from mqtt.commands import Commands
from mqtt.discovery import Discovery
from mqtt.publisher import Publisher
from mqtt.session import Session

from .console import Console
from .health import Health
from .loop import Loop
from .settings import load
from .support import Support
from .version import VERSION


def main():
    """Start everything that can be started, say what cannot, and run for ever."""
    print("Daly MQTT bridge", VERSION)
    settings = load()
    identity = "".join(f"{byte:02x}" for byte in microcontroller.cpu.uid[-3:])
    settings.base_topic = settings.MQTT_BASE_TOPIC or "daly/" + identity
    jobs: list = []
    loop = Loop(ticks_ms, jobs)
    problems = settings.problems
    panel = make_panel(settings, problems)
    pack = Pack()
    poller = Poller(
        pack,
        settings.BMS_HOST_ADDRESS,
        settings.BMS_BOARD_NUMBER,
        settings.BMS_REQUEST_FILLER,
        settings.STALE_PERIODS,
        settings.CURRENT_SIGN,
    )
    uart = make_uart(settings, problems)
    if uart is not None:
        jobs.append(("bms", Port(uart, poller).tick))
    waker = make_waker(settings, poller, problems)
    if waker is not None:
        jobs.append(("wake", waker.tick))
    health = Health(wifi.radio, poller, str(microcontroller.cpu.reset_reason).split(".")[-1].lower(), ticks_ms())
    health.problems = problems
    jobs.append(("health", health.tick))
    discovery = Discovery(
        settings.MQTT_DISCOVERY_PREFIX,
        settings.base_topic,
        identity,
        settings.DEVICE_NAME,
        pack,
        VERSION,
        settings.ALLOW_CONTROL.replace(",", " ").split(),
    )
    publisher = Publisher(
        settings.base_topic,
        discovery,
        pack,
        poller,
        health.pairs,
        1000 * settings.PUBLISH_INTERVAL,
        1000 * settings.CELLS_INTERVAL,
        settings.DEAD_BAND_PERCENT,
        settings.PUBLISH_EACH_VALUE,
    )
    commands = Commands()
    support = Support(settings, poller, health, loop)
    jobs.append(("support", support.tick))
    jobs.append(("console", Console(supervisor.runtime, sys.stdin, {"support": support.show}).tick))
    add_commands(commands, settings, publisher, support)
    session = Session(settings, wifi.radio, socketpool.SocketPool(wifi.radio), publisher, commands, "daly-" + identity)
    health.session = session
    if settings.MQTT_BROKER:
        jobs.append(("mqtt", session.tick))
    else:
        session.trouble = "MQTT_BROKER missing"
    if panel is not None:
        jobs.append(("screen", Screen(panel, pack, poller, session, problems).tick))
    for problem in problems:
        print("Settings:", problem)
    loop.run()


def add_commands(commands, settings, publisher, support):
    """What the broker's messages may ask for."""

    def send_support(_word, now):
        return support.request(lambda bundle: publisher.say("/support", bundle, qos=0), now)

    def birth(word, now):
        if word == "online":  # after a random while, so that a house full of devices does not talk at once
            publisher.announce_again(now, random.randrange(1000, 5000))

    commands.add(settings.base_topic + "/support/set", ("PRESS",), send_support)
    if settings.MQTT_BIRTH_TOPIC:
        commands.add(settings.MQTT_BIRTH_TOPIC, ("online", "offline"), birth, ours=False)


def make_uart(settings, problems):
    """The UART to the BMS, or None with one more problem."""
    tx = find_pin(settings, "UART_TX", problems)
    rx = find_pin(settings, "UART_RX", problems)
    if tx is None or rx is None:
        return None
    try:
        return busio.UART(tx, rx, baudrate=settings.UART_BAUD_RATE, timeout=0, receiver_buffer_size=RECEIVE_BUFFER_SIZE)
    except (ValueError, RuntimeError) as error:
        problems.append(f"UART_TX {settings.UART_TX}, UART_RX {settings.UART_RX}: {error}; choose two free pins.")
        return None


def make_waker(settings, poller, problems):
    """What wakes a sleeping BMS by its wake pin; None when that is not wanted, or not possible: with one more problem."""
    if not settings.WAKE_PIN:
        return None
    pin = find_pin(settings, "WAKE_PIN", problems)
    if pin is None:
        return None
    try:
        output = digitalio.DigitalInOut(pin)
    except ValueError as error:
        problems.append(f"WAKE_PIN {settings.WAKE_PIN}: {error}; choose a free pin.")
        return None
    output.switch_to_output(not settings.WAKE_ACTIVE_HIGH)

    def drive(active):
        output.value = active == settings.WAKE_ACTIVE_HIGH

    return Waker(poller, drive, settings.WAKE_EVERY_MINUTES, settings.WAKE_MIN_SOC, settings.WAKE_MIN_CELL_MV)


def make_panel(settings, problems):
    """The OLED, or None: one that is not there is said once and changes nothing else."""
    if not settings.OLED:
        return None
    scl = find_pin(settings, "OLED_SCL", problems)
    sda = find_pin(settings, "OLED_SDA", problems)
    if scl is None or sda is None:
        return None
    from display.panel import Panel  # 40 KB of libraries that a board without OLED need not load

    try:
        panel = Panel(scl, sda, settings.OLED_ADDRESS)
    except (RuntimeError, ValueError) as error:
        print(f"No OLED: {error}. Going on without; if there is none, set OLED = false.")
        return None
    panel.show(pages.starting(VERSION, "waiting for BMS"))
    return panel


def find_pin(settings, key, problems):
    """The board's pin of that name, or None with one more problem that lists the names there are."""
    name = getattr(settings, key)
    pin = getattr(board, name, None)
    if not isinstance(pin, microcontroller.Pin):
        names = ", ".join(sorted(n for n in dir(board) if isinstance(getattr(board, n), microcontroller.Pin)))
        problems.append(f"{key}: this board has no pin {name}; it has {names}.")
        return None
    return pin
