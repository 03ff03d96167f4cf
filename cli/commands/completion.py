"""`weft completion`: a script for the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cli import terminal
from cli.words import examples


@click.command(
    epilog=examples(
        'eval "$(weft completion bash)"       # this shell; put it into ~/.bashrc',
        'eval "$(weft completion zsh)"        # into ~/.zshrc',
        "weft completion fish > ~/.config/fish/completions/weft.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, *, shell: str) -> None:
    """Print the completion script for bash, zsh or fish."""
    completer = get_completion_class(shell)
    assert completer is not None  # the choice above names click's own
    source = completer(context.find_root().command, {}, "weft", "_WEFT_COMPLETE")
    # `source()` would first run bash to ask its version; the script is the same.
    terminal.say(source.source_template % source.source_vars())
