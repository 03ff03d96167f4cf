"""Names of the identities that have a fixed number. Pure."""

from __future__ import annotations

from mesh.model import ReservedIdentity


def reserved_name(number: int) -> str:
    """`world`, `remote-node`; empty for a number that is allocated."""
    try:
        return ReservedIdentity(number).name.lower().replace("_", "-")
    except ValueError:
        return ""
