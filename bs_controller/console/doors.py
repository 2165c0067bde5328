"""Who may see a console and who may start and stop a run: hosts, origins and the token; pure functions of requests.

On loopback everyone on this machine may look, and only who has the token may start and stop. A console that is bound
elsewhere shows nothing without the token. The token comes once, with the address that a person opens, and stays as a cookie.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The rules of one console."""

    token: str
    port: int
    exposed: bool  # bound to more than loopback

    @property
    def cookie(self) -> str:
        """Return the name of the cookie; browsers do not tell ports apart."""
        return f"nftestbed-{self.port}"

    def holds_token(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request comes from a browser that was once given the token."""
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        found = cookies.get(self.cookie)
        return found is not None and self.is_token(found.value)

    def is_token(self, text: str) -> bool:
        """Return whether a text is the token, in a time that tells nothing of it."""
        return secrets.compare_digest(text.encode(), self.token.encode())

    def knows_host(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request names this console: a page elsewhere that resolves its own name to here does not."""
        return self.exposed or headers.get("host", "") in {f"{name}:{self.port}" for name in LOOPBACK}

    def may_look(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request may be shown anything."""
        return self.knows_host(headers) and (not self.exposed or self.holds_token(headers))

    def is_own_page(self, headers: Mapping[str, str]) -> bool:
        """Return whether a WebSocket was opened by the console's own page."""
        origin = urlsplit(headers.get("origin", ""))
        return origin.scheme in {"http", "https"} and origin.netloc == headers.get("host", "")

    def cookie_header(self) -> str:
        """Return the header value that leaves the token with a browser."""
        return f"{self.cookie}={self.token}; HttpOnly; SameSite=Strict; Path=/"


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)
