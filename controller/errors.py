"""What can go wrong in the controller, as a tree. Every text is for an operator: what, where, why, what to do.

    ControllerError
    ├── StoreError          the store cannot be used; what is in force stays
    │   ├── StoreFull       no space left
    │   ├── StoreBusy       another controller holds it
    │   ├── StoreTooNew     written by a newer version
    │   └── StoreDamaged    not a store, or broken
    ├── JoinRefused         a node may not join
    ├── BadQuestion         what is asked makes no sense
    └── NoSuchThing         asked for by name, not there
Input that is refused is `mesh.objects.errors.ObjectsRefused`.
"""

from __future__ import annotations


class ControllerError(Exception):
    """Any failure that the controller explains."""


class StoreError(ControllerError):
    """The store could not do it; nothing of it was done."""


class StoreFull(StoreError):
    """No space left for the store."""


class StoreBusy(StoreError):
    """Another process holds the store."""


class StoreTooNew(StoreError):
    """The store was written by a newer version."""


class StoreDamaged(StoreError):
    """The file is not a store, or it is broken."""


class JoinRefused(ControllerError):
    """A node may not have a certificate."""


class BadQuestion(ControllerError):
    """The question does not make sense; the text says why."""


class NoSuchThing(ControllerError):
    """What was asked for by name does not exist."""
