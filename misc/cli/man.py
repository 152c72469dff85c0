r"""The man page, generated from the commands' own help.

    python -m misc.cli.man > docs/misc.1

click-man does not work here: it knows only click's options, and typer contains its own click.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from typer.main import get_command

from .app import app

__all__ = ["EXIT_CODES", "leaves", "man_page"]

EXIT_CODES = {
    0: "done",
    1: "failed",
    2: "usage",
    3: "corrupt file, or beyond a limit",
    4: "missing or other model",
    130: "interrupted",
}


def leaves(group: Any, path: list[str]) -> list[tuple[list[str], Any]]:
    """Commands below a group, with their names."""
    commands: list[tuple[list[str], Any]] = []
    for name, command in group.commands.items():
        inner = leaves(command, [*path, name]) if hasattr(command, "commands") else [([*path, name], command)]
        commands += inner
    return commands


def man_page() -> str:
    """The page in roff, with all commands."""
    group: Any = get_command(app)
    what = escape(group.help.rstrip("."))
    lines = [f'.TH MISC 1 "" "misc {version("misc-codec")}" "MISC"', ".SH NAME", rf"misc \- {what}"]
    lines += [".SH SYNOPSIS", r".B misc", r"\fICOMMAND\fP [\fIOPTIONS\fP] \fIARGUMENTS\fP"]
    lines += [
        ".SH DESCRIPTION",
        f"{what}.",
        "A file is named by its path; - is standard input or output.",
        ".SH COMMANDS",
    ]
    for path, command in leaves(group, ["misc"]):
        lines += command_lines(path, command)
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXIT_CODES.items():
        lines += [".TP", rf"\fB{code}\fP", meaning]
    return "\n".join(lines) + "\n"


def command_lines(path: list[str], command: Any) -> list[str]:
    """A command: its usage, what it does, its options."""
    context = command.make_context(" ".join(path), [], resilient_parsing=True)
    usage = " ".join([*path, *command.collect_usage_pieces(context)])
    lines = [f".SS {escape(usage)}", *map(escape, (command.help or "").split("\n\n"))]
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if parameter.param_type_name == "option" and record is not None:
            lines += [".TP", rf"\fB{escape(record[0])}\fP", escape(record[1])]
    return lines


def escape(text: str) -> str:
    """A text in one line, escaped for roff."""
    line = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{line}" if line.startswith((".", "'")) else line


if __name__ == "__main__":
    print(man_page(), end="")
