"""An air between a transmitter and a receiver over ZeroMQ samples: each request is passed on, and so is its answer.

``python -m tests.sdr_backend.zmq_relay UPSTREAM DOWNSTREAM``. It is what a GNU Radio flowgraph is to the driver, and uses
nothing of it.
"""

import sys

import zmq


def relay(upstream: str, downstream: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    asking, answering = context.socket(zmq.REQ), context.socket(zmq.REP)
    asking.connect(upstream)
    answering.bind(downstream)
    print("ready", flush=True)  # noqa: T201
    while True:
        answering.recv()
        asking.send(b"\0")
        answering.send(asking.recv())


if __name__ == "__main__":
    relay(*sys.argv[1:])
