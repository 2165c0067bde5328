"""What controller, radio and UE agents share: the facts of a testbed, the messages, their order, the transport.

SPEC.md is the normative text; the modules implement it and cite its clauses.
"""
