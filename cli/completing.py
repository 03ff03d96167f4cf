"""What the shell is offered after TAB. Silence where nothing answers quickly: completion must never fail loudly."""

from __future__ import annotations

import os
from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from cli import document, kinds, sockets
from cli.errors import WeftError
from cli.target import Target, choose

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

LOGS_OF = ("agent", "proxy", "access", "controller", "supervisor")
MAPS = ("ipcache", "endpoint", "policy", "conntrack", "service", "backend", "redirect", "counters")
"""Those worth a look; `map dump` knows more."""


def _target(context: click.Context) -> Target:
    """The cluster named earlier on the line; the group's function has not run while completing."""
    options = context.find_root().params
    return choose(lab=options.get("lab"), controller=options.get("controller"), environment=os.environ)


def _keys(context: click.Context, *kind_names: str) -> list[str]:
    """`NS/NAME` of all objects of these kinds; behind `-n NS` the bare names of that namespace."""
    from cli.client import Admin

    namespaced = all(kinds.find(kind).namespaced for kind in kind_names)
    namespace = context.params.get("namespace") or "" if namespaced else ""
    try:
        with Admin(_target(context)) as admin:
            found = [item for kind in kind_names for item in admin.get(kind, namespace=namespace)]
    except (WeftError, click.UsageError):
        return []
    return [document.text(item, "metadata", "name") if namespace else document.key_of(item) for item in found]


def _matching(words: list[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def complete_kind(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _matching(kinds.words(), incomplete)


def complete_object(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the kind that stands before."""
    word = context.params.get("kind") or context.params.get("kind_words") or ""
    try:
        kind = kinds.find(str(word))
    except click.UsageError:
        return []
    return _matching(_keys(context, kind.name), incomplete)


def _offer(*kind_names: str, words: tuple[str, ...] = ()) -> Complete:
    """Names of objects, and words beside them."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _matching([*words, *(_keys(context, *kind_names) if kind_names else ())], incomplete)

    return complete


complete_pod = _offer("Pod")
complete_pod_or_service = _offer("Pod", "Service")
complete_node = _offer("Node")
complete_namespace = _offer("Namespace")
complete_logs = _offer("Pod", words=LOGS_OF)
complete_map = _offer(words=MAPS)


def complete_token(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of join tokens."""
    from cli.client import Admin

    try:
        with Admin(_target(context)) as admin:
            return _matching([document.text(token, "id") for token in admin.tokens()], incomplete)
    except (WeftError, click.UsageError):
        return []


def complete_lab(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The labs of this machine."""
    return _matching(sockets.labs(), incomplete)
