"""What can go wrong in the agent, as a small tree. Texts are for an operator: what, where, why, what to do.

Errors of the kernel are a tree of their own (`agent.datapath.interface.DatapathError`).
"""

from __future__ import annotations


class AgentError(Exception):
    """Any error that this program explains itself."""


class QuestionRefused(AgentError):
    """A question of the controller names something that does not exist here."""


class ConfigRefused(AgentError):
    """A flag or file given at start cannot be used. The program ends with it."""


class JoinRefused(AgentError):
    """The node could not get its certificate: wrong token, wrong CA, name taken, or nobody answers."""


class SnapshotRefused(AgentError):
    """What the controller sent contradicts itself or is not understood; what was in force stays (nack)."""


class OutOfStep(SnapshotRefused):
    """A delta starts from another revision than the one held: only a new hello can help."""


class EndpointRefused(AgentError):
    """A call on the local API names a pod, interface or namespace that cannot become an endpoint."""


class ListenerTaken(AgentError):
    """The proxy's port is bound by someone who did not hand the socket over."""
