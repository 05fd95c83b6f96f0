"""The embedded MQTT broker: `python -m host.broker` prints its port and runs until standard input closes.

A process of its own, so that it goes on while the stand-in chip resets, and never outlives the host. It listens on this
computer only. amqtt sends a new client the retained messages of all clients' subscriptions: expect duplicates.
"""

import argparse
import asyncio
import logging
import os
import sys

ADDRESS = "127.0.0.1"
_ANYBODY = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m host.broker", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, help="0: any free one; without it, 1883 or else any free one")
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    port = parser.parse_args().port
    sys.path.append(sys.path.pop(0))  # the project's code.py must not be taken for Python's own module `code`
    try:
        asyncio.run(_serve([1883, 0] if port is None else [port]))
    except ModuleNotFoundError as error:
        sys.exit(f"The broker needs {error.name}: pip install -r requirements-dev.txt, or give --broker HOST:PORT.")


async def _serve(ports: list) -> None:
    broker = await _listen(ports)
    try:
        print(broker._servers["default"].instance.sockets[0].getsockname()[1], flush=True)
    except BrokenPipeError:
        os._exit(0)  # whoever has started us was ended meanwhile
    await asyncio.to_thread(sys.stdin.buffer.read)
    os._exit(0)  # amqtt's own shutdown waits for clients; there is nothing to keep


async def _listen(ports: list):
    from amqtt.broker import Broker
    from amqtt.errors import BrokerError

    for port in ports:
        listener = {"type": "tcp", "bind": f"{ADDRESS}:{port}"}
        broker = Broker({"listeners": {"default": listener}, "plugins": _ANYBODY})
        try:
            await broker.start()
            return broker
        except (BrokerError, OSError) as error:
            reason = error.__cause__ or error
    sys.exit(f"The broker cannot listen on {ADDRESS}:{ports[-1]}: {reason}")


if __name__ == "__main__":
    main()
