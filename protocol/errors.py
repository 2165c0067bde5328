"""Errors of the protocol, two kinds by whose fault they are, each with the clause of SPEC.md that was broken."""


class ProtocolError(Exception):
    """A rule of the protocol was broken; `clause` is the number in SPEC.md."""

    def __init__(self, clause: str, text: str) -> None:
        super().__init__(f"{text} (SPEC {clause})")
        self.clause = clause
        self.text = text


class OurFaultError(ProtocolError):
    """Our side was about to break the protocol: a bug or a bad configuration here, nothing was sent."""


class PeerFaultError(ProtocolError):
    """The peer broke the protocol: what it sent is refused, counted and answered with `Refusal`.

    `answerable` is false of what says that it is a refusal, which is never answered with another (SPEC 9.2).
    """

    answerable = True
