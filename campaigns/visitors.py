# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the page costs the reading of the BMS: at a chip's pace, with a browser that looks, and with clients that mean harm.

The firmware runs as in campaigns/chip.py, in simulated time; visitors connect to it in the simulated network
(host/simulated_network.py). `--write` puts the table into docs/WEB-SERVER.md. The same code gives the same figures.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from campaigns import chip
from host import pace
from host.simulated_network import SimulatedNetwork, Visitor

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "WEB-SERVER.md"
PORT = 80
BEGIN_S = 12  # of the visits: the BMS is read and everything has been announced
SECONDS = 20
LOOK_S = 0.001  # how often visitors are looked at

PAGE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
STATE = PAGE.replace(b"/ ", b"/api/state ", 1)
BRIDGE = PAGE.replace(b"/ ", b"/api/bridge ", 1)
HISTORY = PAGE.replace(b"/ ", b"/api/history?of=bms1 ", 1)
METRICS = PAGE.replace(b"/ ", b"/metrics ", 1)
DIAGNOSTICS = PAGE.replace(b"/ ", b"/diagnostics?of=bms1 ", 1)
MALFORMED = (
    b"\r\n" * 2000,
    b"GET / HTTP/1.1\r\n" + b"a\n" * 2000,
    b"\x16\x03\x01" + bytes(400),
    b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 5000,
    b"GET /" + b"%2e" * 80 + b" HTTP/1.1\r\n\r\n",
    PAGE * 40,
    b"GET / HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nAuthorization: Basic " + b"A" * 400 + b"\r\n\r\n",
    b"x\n",
)
FOUR = 'BMS_BOARD_NUMBERS = "1-4"'  # batteries on one line


class Crowd:
    """All visitors; `answered`: whole answers that they got; `state_s`: how long each took that asked for the state.

    `now()`: seconds of simulated time.
    """

    def __init__(self, network: SimulatedNetwork, now: Callable[[], float]):
        self.network = network
        self.now = now
        self.visitors: list[Visitor] = []
        self.answered = 0
        self.refused = 0
        self.state_s: list[float] = []
        self._waiting: list[tuple[Visitor, float]] = []  # for the state, since then

    def come(self, data: bytes = b"", reads: bool = True) -> Visitor | None:
        """One more connects and sends this; None: he is refused."""
        visitor = self.network.visit(PORT, reads)
        if visitor is None:
            self.refused += 1
            return None
        visitor.send(data)
        self.visitors.append(visitor)
        if data == STATE and reads:
            self._waiting.append((visitor, self.now()))
        return visitor

    def note_states(self) -> None:
        """To be called often: note who has the whole state now."""
        for one in [one for one in self._waiting if one[0].is_closed or one[0].has_left]:
            self._waiting.remove(one)
            if one[0].received.startswith(b"HTTP/1.1 200") and one[0].received.endswith(b"0\r\n\r\n"):
                self.state_s.append(self.now() - one[1])

    def here(self) -> int:
        """Forget those whose connection is over; how many are left."""
        for one in [one for one in self.visitors if one.is_closed or one.has_left]:
            self.visitors.remove(one)
            self.answered += one.received.startswith(b"HTTP/1.1 200") and not one.was_reset
        return len(self.visitors)


# each is a generator that yields the seconds until it is resumed


def nobody(crowd: Crowd) -> Iterator[float]:
    """No visitor."""
    while True:
        yield LOOK_S


def browser(crowd: Crowd) -> Iterator[float]:
    """The page, then its own requests: the state every 2 s, the bridge every 10 s."""
    crowd.come(PAGE)
    crowd.come(HISTORY)
    for at in itertools.count():
        yield 2
        crowd.here()
        crowd.come(STATE)
        if at % 5 == 0:
            crowd.come(BRIDGE)


def asking(crowd: Crowd) -> Iterator[float]:
    """Asks for the state, one after the other, as fast as it comes."""
    while True:
        while crowd.here() or crowd.come(STATE) is None:
            yield LOOK_S


def three_browsers(crowd: Crowd) -> Iterator[float]:
    """Three of them, and Prometheus."""
    for at in itertools.count():
        crowd.here()
        for _ in range(3):
            crowd.come(STATE)
        if at % 5 == 0:
            crowd.come(METRICS)
        yield 2


def greedy(crowd: Crowd) -> Iterator[float]:
    """Asks for everything, one after the other, as fast as it comes."""
    for data in itertools.cycle((PAGE, STATE, BRIDGE, HISTORY, METRICS, DIAGNOSTICS)):
        while crowd.here() or crowd.come(data) is None:
            yield LOOK_S


def loris(crowd: Crowd) -> Iterator[float]:
    """Eight who send a byte a second."""
    while True:
        while crowd.here() < 8 and crowd.come(b"GET /") is not None:
            pass
        for one in crowd.visitors:
            one.send(b"a")
        yield 1


def fifty(crowd: Crowd) -> Iterator[float]:
    """Fifty at once every second, of whom half say nothing and a third break off."""
    while True:
        for one in crowd.visitors[::3]:
            one.leave(resets=True)
        crowd.here()
        for i in range(50):
            crowd.come(STATE if i % 2 else b"")
            yield 0.005
        yield 0.75


def malformed(crowd: Crowd) -> Iterator[float]:
    """Nonsense, four at a time, as fast as the connections are closed."""
    kinds = itertools.cycle(MALFORMED)
    while True:
        while crowd.here() < 4 and crowd.come(next(kinds)) is not None:
            pass
        yield LOOK_S


def wrong_password(crowd: Crowd) -> Iterator[float]:
    """Guesses, four at a time."""
    while True:
        while crowd.here() < 4 and crowd.come(PAGE[:-2] + b"Authorization: Basic eDp5eXl5eXl5eXl5\r\n\r\n") is not None:
            pass
        yield LOOK_S


def deaf(crowd: Crowd) -> Iterator[float]:
    """Four who ask for the page or the state and take nothing."""
    kinds = itertools.cycle((PAGE, STATE))
    while True:
        while crowd.here() < 4 and crowd.come(next(kinds), reads=False) is not None:
            pass
        yield LOOK_S


def leaving(crowd: Crowd) -> Iterator[float]:
    """Asks for the page and breaks off in its middle, again and again."""
    while True:
        crowd.come(PAGE)
        yield 0.03
        for one in crowd.visitors:
            one.leave(resets=True)
        crowd.here()


SCENES: dict[str, tuple[Callable[[Crowd], Iterator[float]] | None, str]] = {
    "the page is off": (None, ""),
    "nobody": (nobody, ""),
    "a browser": (browser, ""),
    "a browser, four batteries": (browser, FOUR),
    "only the state, again and again": (asking, ""),
    "the same, four batteries": (asking, FOUR),
    "three browsers and Prometheus": (three_browsers, ""),
    "everything, as fast as it comes": (greedy, ""),
    "slow loris: eight who send a byte a second": (loris, ""),
    "fifty connections at once, each second": (fifty, ""),
    "malformed requests at full speed": (malformed, ""),
    "wrong passwords at full speed": (wrong_password, 'WEB_PASSWORD = "a-long-password-of-the-page"'),
    "four who take nothing": (deaf, ""),
    "one who breaks off again and again": (leaving, ""),
}


@dataclass
class Result:
    """Of one scene at one pace."""

    ratio: float  # time on the line to its limit
    longest_ms: float  # pass
    longest_job: str
    largest: int  # bytecodes of a tick of the server
    answered: int  # requests, as the visitors counted them
    late: float  # next request after, 99 %, ms
    state_s: float  # until /api/state is whole, the median; 0: nobody has it


class Firmware(chip.Firmware):
    """The firmware with its page, and visitors from BEGIN_S on."""

    def __init__(self, chosen: pace.Pace, scene: str, seconds: float, root: Path):
        make, settings = SCENES[scene]
        on = f"WEB_PORT = {PORT if make else 0};{settings}"
        super().__init__(chosen, 16, seconds, root, on, [], "boards=4" if settings == FOUR else "")
        self._make = make
        self._scene: Iterator[float] | None = None
        self._next_s = float(BEGIN_S)
        self.crowd: Crowd

    def _wire(self, folder: str) -> None:
        super()._wire(folder)
        self.crowd = Crowd(chip.chip.network, self.clock.monotonic)
        if self._make is not None:
            self._scene = self._make(self.crowd)

    def _on_step(self, seconds: float) -> None:
        super()._on_step(seconds)
        self.crowd.note_states()
        if self._scene is not None and (now := self.clock.monotonic()) >= self._next_s:
            self._next_s = now + next(self._scene)

    def result(self) -> Result:
        """Run to the end."""
        figures = self.run()
        self.crowd.here()
        passes = [one for one in self.passes.passes if one.at_s >= BEGIN_S]
        longest = max(passes, key=lambda one: one.took_ms)
        page = figures.jobs.get("page")
        late = chip.part(figures.turnarounds, 0.99)
        if "Traceback" in figures.output:
            raise RuntimeError(figures.output[-3000:])
        state_s = median(self.crowd.state_s) if self.crowd.state_s else 0.0
        largest = page.largest if page else 0
        return Result(figures.ratio, longest.took_ms, longest.job, largest, self.crowd.answered, late, state_s)


def run(name: str, scene: str, seconds: float, root: Path) -> Result:
    """A scene at a pace, in a process of its own. Raises RuntimeError when the firmware fails."""
    command = [sys.executable, "-m", "campaigns.visitors", "--pace", name, "--scene", scene, "--seconds", str(seconds)]
    command += ["--root", str(root), "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{scene}: " + done.stdout[-2000:] + done.stderr[-3000:])
    return Result(**json.loads(done.stdout.splitlines()[-1]))


@functools.cache
def bundled() -> Path:
    """The firmware as in the compiled bundle, with the page's file."""
    root = chip.bundled()
    page = root / "web" / "page.html.gz"
    if not page.exists():
        page.write_bytes(gzip.compress((ROOT / "web" / "page.html").read_bytes(), 9))
    return root


def table(seconds: float, scenes: list[str], paces: list[str]) -> str:
    """The scenes at each pace, as Markdown."""
    todo = [(name, scene) for name in paces for scene in scenes]
    root = bundled()
    with ThreadPoolExecutor(2) as pool:
        found = dict(zip(todo, pool.map(lambda one: run(*one, seconds, root), todo)))
    head = "time / limit | next request after, 99 % | longest pass | in it | largest tick of the server | answered"
    lines = [f"| | {head} | `/api/state` whole after |"]
    for name in paces:
        lines += ["|---" * 8 + "|"] if name == paces[0] else []
        lines.append(f"| **{chip.NAMES.get(name, name)}** | | | | | | | |")
        for scene in scenes:
            one = found[name, scene]
            largest = f"{one.largest:,} bytecodes" if one.largest else ""
            # of one battery: with more each notes the requests to all
            line = "| " if SCENES[scene][1] == FOUR else f"{one.ratio:.3f} | {one.late:.1f} ms"
            state = f"{one.state_s:.2f} s" if one.state_s else ""
            longest = f"{one.longest_ms:.0f} ms | {one.longest_job}"
            lines.append(f"| {scene} | {line} | {longest} | {largest} | {one.answered or ''} | {state} |")
    return "\n".join(lines) + "\n"


def write(text: str) -> None:
    """Replace the table of docs/WEB-SERVER.md."""
    begin, end = "<!-- made: web -->\n", "<!-- end: web -->"
    head, _, rest = DOCUMENT.read_text().partition(begin)
    DOCUMENT.write_text(head + begin + text + end + rest.partition(end)[2])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m campaigns.visitors", description=__doc__.splitlines()[0])
    parser.add_argument("--pace", nargs="*", default=["s2", "s3"], help="s2, s3, pc, or microseconds a bytecode")
    parser.add_argument("--scene", nargs="*", default=list(SCENES), choices=list(SCENES), metavar="SCENE")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="simulated")
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="put the table into docs/WEB-SERVER.md")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.json:
        firmware = Firmware(pace.of(options.pace[0]), options.scene[0], options.seconds, options.root.resolve())
        print(json.dumps(asdict(firmware.result())))
        return
    text = table(options.seconds, options.scene, options.pace)
    print(text)
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
