"""The shape of the command: groups that import a word's module when it is used, and help that shows examples."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence

import click


def examples(*lines: str) -> str:
    """An epilog for `--help`: command lines to copy, each with an optional `# why`."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class Words(click.Group):
    """A group whose commands live in modules of their own, listed under headings."""

    sections: Mapping[str, Sequence[str]] = {}
    modules: Mapping[str, str] = {}
    """Word -> module; the command in it is named `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [word for section in self.sections.values() for word in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self.modules.get(cmd_name)
        if module is None:
            return None
        command = importlib.import_module(module).command
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with the nearest word in the message."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0] if args else "", self.list_commands(ctx), n=1)
            if near:
                raise click.UsageError(f"there is no command {args[0]!r}; did you mean {near[0]!r}?", ctx) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, words in self.sections.items():
            rows = []
            for word in words:
                command = self.get_command(ctx, word)
                if command is not None:
                    rows.append((word, command.get_short_help_str(limit=70)))
            with formatter.section(heading):
                formatter.write_dl(rows)
