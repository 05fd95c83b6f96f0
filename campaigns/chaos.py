# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The fault matrix: `make chaos` runs the unmodified firmware as a process and takes its network, broker and power away.

A real mosquitto, the real MiniMQTT, host/proxy.py between them, host/trouble.py around the chip, and the simulated BMS
with a log of its requests. Prints a table and writes it into docs/RELIABILITY.md, which explains it.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaigns import chip
from campaigns.mosquitto import PROGRAM, Mosquitto, Subscriber, wait_until
from host import trouble
from host.proxy import Proxy

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "RELIABILITY.md"
BASE = "t"
SETTINGS = f"""CIRCUITPY_WIFI_SSID = "shed"
CIRCUITPY_WIFI_PASSWORD = "shed-password"
MQTT_BROKER = "broker.example"
MQTT_BASE_TOPIC = "{BASE}"
PUBLISH_INTERVAL_S = 1
DEADBAND_PERCENT = 0
"""
BMS = "cells=16,temperatures=2,current=-300,capacity=4000,soc=90"  # 16 kW: a watt hour in a quarter of a second
RETURN_LIMIT_S = 90  # for recovering: the longest pause between two attempts is a minute
STEADY_LIMIT_MS = 100  # for a pass of the loop without a fault
NOTICE_LIMIT_S = 45  # for noticing a dead connection: three keep-alives


class Bench:
    """A firmware with broker, proxy, simulated BMS and subscriber, started by the constructor; its files are in `folder`."""

    def __init__(self, folder: Path, settings: str = SETTINGS, bms: str = BMS, oled: bool = True, options: Sequence[str] = ()):
        self.folder = folder
        self.settings = folder / "settings.toml"
        self.settings.write_text(settings)
        self._options = [*options, *([] if oled else ["--no-oled"])]  # of python -m host
        self._trouble: dict[str, str] = {}
        self._trouble_file = folder / "trouble"
        self._marks = 0
        self._log: list[tuple[float, str]] = []
        self._pings = 0
        self._bms_log = folder / "bms.jsonl"
        self.broker = Mosquitto(folder, persistent=True)
        self.proxy = Proxy(("127.0.0.1", self.broker.port))
        self.subscriber = Subscriber(self.broker.port)
        command = [sys.executable, "-m", "simulator.line", "--bms", bms, "--log", str(self._bms_log)]
        self.bms = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.uart = self.bms.stdout.readline().strip()
        self.host: subprocess.Popen | None = None
        self.start()

    # the firmware

    def start(self):
        """Switch the chip's power on."""
        command = [sys.executable, "-m", "host", "--plain", "--json", "--settings", str(self.settings), "--uart", self.uart]
        command += ["--broker", f"localhost:{self.proxy.port}", "--nvm", str(self.folder / "nvm")]
        environment = {**os.environ, trouble.VARIABLE: str(self._trouble_file), "PYTHONDONTWRITEBYTECODE": "1"}
        self.host = subprocess.Popen(
            command + self._options,
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self._read_log, args=(self.host,), daemon=True).start()

    def cut_power(self):
        """Kill the firmware, whatever it is doing."""
        self.host.kill()
        self.host.wait()

    def close(self):
        """End everything."""
        self.cut_power()
        self.bms.kill()
        self.bms.wait()
        self.subscriber.stop()
        self.broker.thaw()
        self.broker.kill()
        self.proxy.close()

    def set_trouble(self, **troubles: str):
        """Set troubles of host/trouble.py, for example wifi="off"; "" ends one."""
        self._trouble.update(troubles)
        part = self._trouble_file.with_suffix(".new")
        part.write_text("".join(f"{key}={value}\n" for key, value in self._trouble.items() if value))
        part.rename(self._trouble_file)

    def mark(self):
        """Measure the longest interval between two feedings of the watchdog anew from now on."""
        self._marks += 1
        self.set_trouble(mark=str(self._marks))

    @property
    def observed(self) -> dict:
        """The counters of host/trouble.py: what the stand-ins have observed of the firmware."""
        try:
            return json.loads(self._trouble_file.with_suffix(".seen").read_text())
        except (OSError, ValueError):
            return dict(trouble.seen)

    def set_bms(self, line: str):
        """Change options of the simulated BMS."""
        self.bms.stdin.write(line + "\n")
        self.bms.stdin.flush()

    # what it has done

    def published(self, since: float, topic: str) -> list[str]:
        """The payloads published live on a topic since then; on all topics below it if it ends with a slash."""
        return [
            text
            for at, (where, text, retained) in list(self.subscriber.timed)
            if at >= since and not retained and (where == topic or (topic.endswith("/") and where.startswith(topic)))
        ]

    def publish(self, topic: str, text: str):
        """Publish a message; it is lost while the broker is away."""
        with contextlib.suppress(RuntimeError):
            self.subscriber.publish(topic, text)

    def log(self, since: float = 0) -> list[str]:
        """The lines printed since then."""
        return [line for at, line in list(self._log) if at >= since]

    def logged_at(self, words: str, since: float) -> float | None:
        """When a line with these words was first printed; None: never."""
        return next((at for at, line in list(self._log) if at >= since and words in line), None)

    def bridge(self, since: float = 0) -> list[dict]:
        """The states of the bridge itself published since then."""
        return [json.loads(text) for text in self.published(since, BASE + "/state")]

    def is_up(self, since: float) -> bool:
        """Whether bridge and battery are online and a state of the battery with values was published since then."""
        topics = (BASE + "/status", BASE + "/bms1/status")
        return all(self.subscriber.latest(topic) == "online" for topic in topics) and bool(self._fresh_states(since))

    def hears(self) -> bool:
        """Say something it does not understand, and look whether it heard that."""
        if self._pings and any(f'"ping-{n}"' in line for n in range(self._pings, 0, -1) for line in self.log()[-400:]):
            return True
        self._pings += 1
        self.publish(BASE + "/diagnostics/set", f"ping-{self._pings}")
        return False

    def requests(self, since: float, until: float) -> list[float]:
        """Times of the requests to the BMS."""
        return [event["t"] for event in self._events() if "request" in event and since <= event["t"] <= until]

    def written(self, function: int) -> list[float]:
        """Times of the requests with this function."""
        requests = [(event["t"], event["request"]) for event in self._events() if len(event.get("request", "")) == 26]
        return [at for at, request in requests if bytes.fromhex(request)[2] == function]

    def true_energy(self, since: float, until: float) -> float:
        """The watt hours that left the battery, by the values of the simulated BMS."""
        events = [e for e in self._events() if "truth" in e and since <= e["t"] <= until]
        steps = itertools.pairwise(events)
        return -sum((a["truth"]["power"] + b["truth"]["power"]) / 2 * (b["t"] - a["t"]) / 3600 for a, b in steps)

    def energy(self, before: float | None = None) -> tuple[float, float] | None:
        """(time, Wh) of the last discharged energy published, or the last one before a time; None: there is none."""
        for at, (topic, text, retained) in reversed(list(self.subscriber.timed)):
            if topic == BASE + "/bms1/energy" and not retained and (before is None or at <= before):
                return at, 1000 * json.loads(text)["energy_discharged"]
        return None

    def counters(self) -> list[tuple[float, float]]:
        """(time, Wh) of every discharged energy published, in order."""
        found = []
        for at, (topic, text, retained) in list(self.subscriber.timed):
            if topic in (BASE + "/bms1/energy", BASE + "/bms1/state") and not retained:
                value = json.loads(text).get("energy_discharged")
                found += [] if value is None else [(at, 1000 * value)]
        return found

    def _fresh_states(self, since: float) -> list[str]:
        return [text for text in self.published(since, BASE + "/bms1/state") if '"pack_voltage":null' not in text]

    def _events(self) -> list[dict]:
        with contextlib.suppress(OSError):
            return [json.loads(line) for line in self._bms_log.read_text().splitlines() if line.endswith("}")]
        return []

    def _read_log(self, process: subprocess.Popen):
        for line in process.stdout:
            self._log.append((time.monotonic(), line.rstrip()))


# the faults


@dataclass
class Fault:
    """Something that begins and, after `seconds`, ends. `longest_s`: the longest pass of the loop that is allowed meanwhile."""

    name: str
    begin: Callable[[Bench], Any]
    end: Callable[[Bench], Any] = lambda bench: None
    seconds: float = 25
    longest_s: float = 3.0
    uncounted_s: float = 0.0  # for which energy may be missing: the meter interpolates pauses of up to 5 s
    restarts: bool = False
    note: str = ""
    heals_itself: bool = False  # it ends as soon as it has begun: recovery is measured from there
    polls: bool = True  # the BMS is polled meanwhile
    short: float = 0  # seconds in the short form; 0: not part of it


def _mode(mode: str, value: float | None = None, **options) -> Fault:
    name = mode.replace("_", "-") if value is None else f"{mode} {value:g}"
    begin = lambda bench: bench.proxy.set(mode, value)  # noqa: E731
    return Fault(options.pop("name", name), begin, lambda bench: bench.proxy.set("pass"), **options)


def _troubled(name: str, troubles: dict, **options) -> Fault:
    begin = lambda bench: bench.set_trouble(**troubles)  # noqa: E731
    return Fault(name, begin, lambda bench: bench.set_trouble(**dict.fromkeys(troubles, "")), **options)


def _all(*actions: Callable[[Bench], Any]) -> Callable[[Bench], None]:
    def run(bench: Bench):
        for action in actions:
            action(bench)

    return run


JOIN_LIMIT_S = 4.8  # app/watchdog.py, and what the others take in that pass
FAULTS = [
    Fault("no fault", lambda bench: None, seconds=60, longest_s=0.1, note="steady state"),
    _troubled("access point off", {"wifi": "off"}, seconds=90, note="the join is a scan of 2.4 s; an hour: see the soak"),
    _troubled(
        "access point has another password", {"wifi": "password"}, longest_s=JOIN_LIMIT_S, note="the join takes the chip 4 s"
    ),
    Fault(
        "access point on another channel",
        lambda b: b.set_trouble(channel="11"),
        seconds=15,
        heals_itself=True,
        note="found by a scan of 2.4 s",
    ),
    _troubled("DHCP gone, lease lost", {"dhcp": "gone"}, seconds=40),
    Fault(
        "DHCP gone when joining",
        _all(lambda b: b.set_trouble(wifi="off"), lambda b: time.sleep(20), lambda b: b.set_trouble(wifi="", dhcp="gone")),
        lambda b: b.set_trouble(dhcp=""),
        seconds=40,
        longest_s=JOIN_LIMIT_S,
        note="the chip would wait forever; ended by the watchdog's exception",
    ),
    Fault(
        "address changed",
        lambda b: b.set_trouble(address="192.0.2.99"),
        seconds=30,
        heals_itself=True,
        note="old connections are dead",
    ),
    Fault(
        "name server fails, connection lost",
        _all(lambda b: b.set_trouble(dns="fail"), lambda b: b.proxy.set("close"), lambda b: b.proxy.set("pass")),
        lambda b: b.set_trouble(dns=""),
        heals_itself=True,
        note="the address is still known",
    ),
    Fault(
        "name server silent, broker gone",
        _all(lambda b: b.set_trouble(dns="silent"), lambda b: b.proxy.set("refuse")),
        _all(lambda b: b.set_trouble(dns=""), lambda b: b.proxy.set("pass")),
        longest_s=7.5,
        uncounted_s=8,
        note="the chip's lookup takes 7 s; none with an IP address",
    ),
    Fault("broker killed, retained messages kept", lambda b: b.broker.kill(), lambda b: b.broker.start(), short=3),
    Fault("broker killed, retained messages lost", lambda b: b.broker.kill(), lambda b: b.broker.start(forget=True)),
    Fault("broker frozen", lambda b: b.broker.freeze(), lambda b: b.broker.thaw()),
    _mode("refuse", name="connections refused"),
    _mode("deny", name="user name or password refused"),
    _mode("drop", name="connections dropped"),
    _mode("hang", name="connections accepted, no response"),
    _mode("half_open", name="half-open", seconds=50, heals_itself=True, note="noticed within three keep-alives"),
    _mode("swallow", name="all data swallowed"),
    _mode("close", name="closed immediately", short=3),
    _mode("cut", name="packets truncated"),
    _mode("fragment", name="one byte per packet", seconds=15),
    _mode("garbage", name="random bytes", short=4),
    _mode("huge", name="a message of 200 MB"),
    _mode("delay", 0.5, name="delayed by 0.5 s"),
    _mode("delay", 3, name="delayed by 3 s"),
    _mode("throttle", 2000, name="2000 bytes/s"),
    _mode("throttle", 100, name="100 bytes/s"),
    Fault("BMS frozen", lambda b: b.bms.send_signal(19), lambda b: b.bms.send_signal(18), seconds=15, polls=False),
    Fault("power cut", lambda b: b.cut_power(), lambda b: b.start(), seconds=1, restarts=True, polls=False, short=0.5),
    Fault(
        "five power cuts, a second each",
        _all(*[step for _ in range(4) for step in (lambda b: b.cut_power(), lambda b: b.start(), lambda b: time.sleep(1))]),
        _all(lambda b: b.cut_power(), lambda b: b.start()),
        seconds=0,
        restarts=True,
        polls=False,
    ),
    Fault(
        "UART driver hangs",
        lambda b: b.set_trouble(uart="hang"),
        lambda b: b.set_trouble(uart=""),
        seconds=50,
        longest_s=60,
        restarts=True,
        polls=False,
        note="the watchdog resets the chip after 45 s",
    ),
]


@dataclass
class Outcome:
    """The result of one fault."""

    fault: Fault
    back_s: float | None = None  # from the end of the fault to state, subscriptions and discovery; None: it did not recover
    noticed_s: float | None = None  # from the begin of the fault to the message on the console; None: there was none
    longest_s: float = 0.0  # between two feedings of the watchdog, without the time the PC spent on other programs
    published_max_ms: int = 0  # longest_pass as published
    pause_s: float = 0.0  # longest interval between two requests to the BMS
    energy_error: float | None = None  # published against true, in percent
    wrong: list[str] = field(default_factory=list)


def run(bench: Bench, fault: Fault, seconds: float | None = None) -> Outcome:
    """Begin and end the fault, wait for recovery and check everything; `seconds` in place of the fault's own duration."""
    outcome = Outcome(fault)
    before = bench.energy()
    drawn, boots = bench.observed["screen_writes"], _boots(bench)
    bench.mark()
    begun = time.monotonic()
    fault.begin(bench)
    time.sleep(fault.seconds if seconds is None else seconds)
    during = bench.observed
    fault.end(bench)
    ended = begun if fault.heals_itself else time.monotonic()
    _wait_for_return(bench, outcome, ended)
    back = time.monotonic()
    wait_until(lambda: len(bench.bridge(back)) >= 1, 15, 0.05)  # the longest pass is published every 10 s
    _check(bench, outcome, begun, back, before)
    _check_restarts_and_screen(outcome, during, drawn, _boots(bench) - boots)
    return outcome


def _wait_for_return(bench: Bench, outcome: Outcome, ended: float):
    pings_before = bench._pings
    begun = time.monotonic()

    def is_back() -> bool:
        if not bench.is_up(max(ended, begun - 0.5)):
            return False
        if _is_receiving(bench, pings_before, begun):
            return True
        time.sleep(0.2)
        return False

    if wait_until(is_back, RETURN_LIMIT_S, 0.05):
        outcome.back_s = time.monotonic() - ended
        if outcome.fault.heals_itself:
            outcome.back_s = _reconnected_at(bench, ended) - ended
    else:
        outcome.wrong.append("did not recover")


def _is_receiving(bench: Bench, before: int, since: float) -> bool:
    """Whether the firmware has received a message published since then; publishes another one if not."""
    if any(f'"ping-{n}"' in line for n in range(before + 1, bench._pings + 1) for line in bench.log(since)):
        return True
    bench._pings += 1
    bench.publish(BASE + "/diagnostics/set", f"ping-{bench._pings}")
    return False


def _reconnected_at(bench: Bench, since: float) -> float:
    """When the new session began; `since` if the old one did not end."""
    connected = bench.logged_at("MQTT: connected", since)
    return since if connected is None else connected


def _check(bench: Bench, outcome: Outcome, begun: float, back: float, before):
    fault = outcome.fault
    noticed = bench.logged_at("MQTT: No ", begun)
    outcome.noticed_s = None if noticed is None else noticed - begun
    if fault.heals_itself and (outcome.noticed_s is None or outcome.noticed_s > NOTICE_LIMIT_S):
        outcome.wrong.append("not noticed in time")
    if bench.logged_at("MQTT: connected", begun) and not bench.published(begun, "homeassistant/device/"):
        outcome.wrong.append("discovery not published")
    states = bench.bridge(begun)
    outcome.published_max_ms = max((state["longest_pass"] for state in states), default=0)
    outcome.longest_s = bench.observed["longest_own"]
    if outcome.longest_s > fault.longest_s:
        outcome.wrong.append(f"a pass of {outcome.longest_s:.2f} s")
    requests = bench.requests(begun, back)
    outcome.pause_s = max((b - a for a, b in itertools.pairwise(requests)), default=back - begun)
    if fault.polls and outcome.pause_s > fault.longest_s + 1.5:
        outcome.wrong.append(f"no request to the BMS for {outcome.pause_s:.1f} s")
    _check_energy(bench, outcome, before)
    failures = {state["last_failure"] for state in states} - {"none"}
    if failures and not fault.restarts:
        outcome.wrong.append(f"failure: {failures}")
    if bench.host.poll() is not None:
        outcome.wrong.append("the firmware has ended")


def _check_energy(bench: Bench, outcome: Outcome, before):
    after = bench.energy()
    if any(b < a for (_, a), (_, b) in itertools.pairwise(bench.counters())):
        outcome.wrong.append("a counter decreased")
    if before is None or after is None or after[0] - before[0] < 5:
        return
    true = bench.true_energy(before[0], after[0])
    outcome.energy_error = 100 * (after[1] - before[1] - true) / true
    if outcome.energy_error > 100 * 8 / true + 1:  # published up to 2 s late: 9 Wh
        outcome.wrong.append("energy too high")
    uncounted = 12 + outcome.fault.uncounted_s * true / (after[0] - before[0])
    if outcome.fault.polls and outcome.energy_error < -100 * uncounted / true - 4:
        outcome.wrong.append("energy too low")


def _check_restarts_and_screen(outcome: Outcome, during: dict, drawn: int, restarts: int):
    if outcome.fault.restarts:
        if not restarts:
            outcome.wrong.append("no restart was counted")
        return
    if restarts:
        outcome.wrong.append(f"{restarts} restarts")
    if during["screen_writes"] == drawn:
        outcome.wrong.append("the screen did not change")


def _boots(bench: Bench) -> int:
    latest = bench.subscriber.latest(BASE + "/state")
    return json.loads(latest)["boot_count"] if latest else 0


# steady state


def steady(bench: Bench, seconds: float) -> tuple[str, int]:
    """Run without a fault; (table of the durations of passes as the firmware publishes them, 1 if they are too long or 0)."""
    bench.mark()
    begun = time.monotonic()
    time.sleep(seconds)
    longest = sorted(state["longest_pass"] for state in bench.bridge(begun)) or [0]
    own_ms = 1000 * bench.observed["longest_own"]
    rows = (
        ("Undisturbed", f"{seconds / 60:.3g} minutes, with screen, broker and a BMS of 16 cells"),
        ("Longest pass", f"{longest[-1]} ms; {own_ms:.0f} ms without the time the PC spent on other programs, pause included"),
        ("Longest pass within ten seconds", f"{longest[len(longest) // 2]} ms in the median of {len(longest)} samples"),
        ("Longest pass at the pace of an ESP32-S2", chip_pass()),
        ("Result", "ok" if own_ms <= STEADY_LIMIT_MS else f"longer than {STEADY_LIMIT_MS} ms"),
    )
    table = "| | |\n|---|---|\n" + "".join(f"| {name} | {text} |\n" for name, text in rows)
    print(table)
    return table, own_ms > STEADY_LIMIT_MS


def chip_pass() -> str:
    """The longest pass on a chip, simulated: docs/CHIP.md."""
    figures = chip.run("s2", 16, 70)
    return f"{figures.longest_ms:.0f} ms, estimated ({figures.longest_job}): [CHIP.md](CHIP.md)"


# the table

HEAD = (
    "| Fault | Duration | Noticed after | Recovered after | Longest pass | BMS not polled for | Energy | Result |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def row(outcome: Outcome, seconds: float) -> str:
    """One line of the table."""
    fault = outcome.fault

    def shown(value: float | None, text: str) -> str:
        return "" if value is None else text.format(value)

    back = "at once" if outcome.back_s is not None and outcome.back_s < 0.3 else shown(outcome.back_s, "{:.1f} s")
    result = "; ".join(outcome.wrong) or "ok"
    cells = (
        fault.name + (f" ({fault.note})" if fault.note else ""),
        f"{seconds:g} s",
        shown(outcome.noticed_s, "{:.1f} s"),
        back,
        f"{1000 * outcome.longest_s:.0f} ms",
        f"{outcome.pause_s:.1f} s",
        shown(outcome.energy_error, "{:+.1f} %"),
        result,
    )
    return "| " + " | ".join(cells) + " |\n"


def main():
    parser = argparse.ArgumentParser("campaigns.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="only faults with this in their name")
    parser.add_argument("--steady", type=float, metavar="SECONDS", help="no faults: measure the passes of the loop for so long")
    parser.add_argument("--outputs", action="store_true", help="the faults with outputs, sensors and the status LED on")
    parser.add_argument("--write", action="store_true", help="write the table into docs/RELIABILITY.md")
    options = parser.parse_args()
    if PROGRAM is None:
        sys.exit("mosquitto is not installed: apt install mosquitto")
    with contextlib.suppress(PermissionError):
        # other programs on this computer must not look like a stall
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    with tempfile.TemporaryDirectory(prefix="daly-chaos-") as folder:
        if options.outputs:
            from campaigns.chaos_outputs import matrix  # which needs this module

            table, wrong = matrix(Path(folder), options.only)
        else:
            table, wrong = _run_all(Path(folder), options)
    if options.write:
        write("chaos outputs" if options.outputs else "steady" if options.steady else "chaos", table)
    sys.exit(f"{wrong:d} failed" if wrong else 0)


def _run_all(folder: Path, options: argparse.Namespace) -> tuple[str, int]:
    bench = Bench(folder)
    try:
        if not wait_until(lambda: bench.is_up(0) and bench.energy(), 30, 0.05):
            sys.exit("the firmware does not start:\n" + "\n".join(bench.log()[-30:]))
        wait_until(lambda: len(bench.bridge()) >= 2, 20, 0.05)
        return steady(bench, options.steady) if options.steady else _matrix(bench, options.only)
    finally:
        bench.close()


def _matrix(bench: Bench, only: str | None) -> tuple[str, int]:
    table, wrong = HEAD, 0
    print(HEAD, end="", flush=True)
    for fault in FAULTS:
        if not only or only in fault.name:
            outcome = run(bench, fault)
            line = row(outcome, fault.seconds)
            table += line
            wrong += bool(outcome.wrong)
            print(line, end="", flush=True)
            if outcome.wrong:
                print("\n".join(bench.log()[-12:]), file=sys.stderr)
    return table, wrong


def write(name: str, table: str):
    """Replace a table of docs/RELIABILITY.md, which is between marks with its name."""
    text = DOCUMENT.read_text()
    begin, end = f"<!-- made: {name} -->\n", f"<!-- end: {name} -->"
    head, _, rest = text.partition(begin)
    DOCUMENT.write_text(head + begin + table + end + rest.partition(end)[2])


if __name__ == "__main__":
    main()
