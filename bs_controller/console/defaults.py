"""Where a console is served unless it is told otherwise."""

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8750
