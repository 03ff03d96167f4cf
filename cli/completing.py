"""What the shell is offered after TAB. Silence where nothing answers quickly: completion must never fail loudly."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

from cli import document, kinds
from cli.errors import WeftError
from cli.target import Target, choose


def _target(context: click.Context) -> Target:
    """The cluster named earlier on the line; the group's function has not run while completing."""
    options = context.find_root().params
    return choose(lab=options.get("lab"), controller=options.get("controller"), environment=os.environ)


def _keys(context: click.Context, kind: str) -> list[str]:
    from cli.client import Admin

    try:
        with Admin(_target(context)) as admin:
            return [document.key_of(item) for item in admin.get(kind)]
    except (WeftError, click.UsageError):
        return []


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


def complete_pod(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _matching(_keys(context, "Pod"), incomplete)


def complete_node(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _matching(_keys(context, "Node"), incomplete)
