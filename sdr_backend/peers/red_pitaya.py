"""A Red Pitaya of software whose receiver hears its transmitter, to try SoapySDR's module without a device (shell).

``python -m sdr_backend.peers.red_pitaya --port 1001``, then ``args: "driver=redpitaya,addr=127.0.0.1,port=1001"``. What is
transmitted comes back at the sample rate of the receiver, with zeros where nothing is transmitted.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable

from sdr_backend.peers.red_pitaya_device import RedPitaya, Role, radiate


async def serve(port: int, on_ready: Callable[[int], None]) -> None:
    """Serve a driver until cancelled; `on_ready` is told the port, which is the system's choice if it was 0."""
    device = RedPitaya()
    server, bound = await device.listen(port)

    def step(count: int, at_s: float) -> None:
        device.heard(device.taken(count, at_s), 0)

    async with server:
        on_ready(bound)
        await radiate(device, Role.RECEIVE_CONTROL, step)


def main() -> None:
    """Serve until interrupted; print the port, so that a program that chose 0 learns it."""
    parser = argparse.ArgumentParser(description="Red Pitaya of software, on the loopback interface")
    parser.add_argument("--port", type=int, default=1001, help="TCP port; 0 lets the system choose")
    port = parser.parse_args().port
    try:
        asyncio.run(serve(port, lambda bound: print(bound, flush=True)))  # noqa: T201
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
