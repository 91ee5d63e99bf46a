"""The reference of the commands, made from the command line's own declaration."""

from __future__ import annotations

from typing import Any

import typer

__all__ = ["command_text"]


def command_text(command: Any, name: str) -> str:
    """Markdown sections, one for each command below ``command``: usage, purpose, arguments and options."""
    context = typer.Context(command, info_name=name)
    if not hasattr(command, "commands"):
        return _section(command, name, context)
    own = [_section(command, name, context)] if command.params else []
    below = [
        command_text(command.commands[part], f"{name} {part}") for part in command.list_commands(context)
    ]
    return "\n\n".join(own + below)


def _section(command: Any, name: str, context: Any) -> str:
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [f"| `{_cell(names)}` | {_cell(meaning)} |" for names, meaning in filter(None, records)]
    usage = command.get_usage(context).removeprefix("Usage: ")
    table = "\n\n| argument or option | meaning |\n|---|---|\n" + "\n".join(rows) if rows else ""
    return f"## {name}\n\n{command.help}\n\n```text\n{usage}\n```{table}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
