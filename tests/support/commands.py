"""Whether command lines that are written down (documents, workflows, hooks) name what there is.

`check_command` parses `make`, `misc` and `python -m` lines; it runs none of them.
"""

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

from typer.main import get_command

from misc.cli.app import app

__all__ = ["check_command", "check_mention", "commands_of"]

SETTINGS = re.compile(r"[A-Z][A-Z_]*=.*")  # VARIABLE=value before a command
SEPARATORS = {"&&", "|", ";", "||"}


def check_command(root: Path, line: str) -> bool:
    """Check every `make`, `misc` and `python -m` command of a shell line. Returns whether there is one.

    Raises:
        AssertionError: a target, subcommand, module, option or argument is not there.
    """
    checked = [check_words(root, words) for words in commands_of(line)]
    return any(checked)


def check_mention(root: Path, line: str) -> None:
    """Check a command as sentences name it: its arguments may be missing or be a sketch, options have to be there.

    Raises:
        AssertionError: a target, subcommand, module or option is not there.
    """
    for words in commands_of(line):
        if words[0] != "misc":
            check_words(root, words)
            continue
        if words[1].startswith("-"):  # the name of a row of figures
            continue
        command, rest = walk(words[1:])
        if command.context_settings.get("ignore_unknown_options"):
            check_module(root, part_of_eval(command), rest)
            continue
        known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "-h"}
        wrong = [word for word in rest if word.startswith("--") and word not in known]
        assert not wrong, f"{line}: there is no option {' or '.join(wrong)}"


def commands_of(line: str) -> list[list[str]]:
    """The words of each command of a line, without settings, comments and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    skip = False
    for word in lexer:
        if word in SEPARATORS:
            commands.append([])
        elif word in {">", ">>", "<", "2>"}:
            skip = True
        elif skip:
            skip = False
        elif commands[-1] or not SETTINGS.fullmatch(word):
            commands[-1].append(word)
    return [words for words in commands if words]


def check_words(root: Path, words: list[str]) -> bool:
    name = Path(words[0]).name
    if name == "make":
        for target in words[1:]:
            assert SETTINGS.fullmatch(target) or target in targets(root), f"the Makefile has no target {target}"
        return True
    if name == "misc":
        parse(root, words[1:])
        return True
    if words[:2] == ["accelerate", "launch"]:
        name, words = "python", words[1:]
    if name.startswith("python") and words[1:2] == ["-m"]:
        check_module(root, words[2], words[3:])
        return True
    return False


def targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z./]+):", (root / "Makefile").read_text(), re.M))


def walk(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and the words behind its name."""
    command: Any = get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        names = words[0].split("|")  # `misc batch encode|decode`
        for name in names:
            assert name in command.commands, f"there is no command {name}"
        command, words = command.commands[names[0]], words[1:]
    return command, words


def parse(root: Path, words: list[str]) -> None:
    """Let the program itself parse the words, without running the command."""
    command, rest = walk(words)
    if hasattr(command, "commands") or not rest:  # a group, or the command's name alone
        return
    if command.context_settings.get("ignore_unknown_options"):
        check_module(root, part_of_eval(command), rest)
        return
    try:
        command.make_context("misc", list(rest))
    except Exception as error:
        raise AssertionError(f"misc {' '.join(words)}: {getattr(error, 'message', error)}") from error


def part_of_eval(command: Any) -> str:
    """The module to which a command of `misc eval` hands its options."""
    return f"misc.eval.{command.name.replace('-', '_')}"


def check_module(root: Path, module: str, words: list[str]) -> None:
    """Whether a module is there and, if it is one of ours, whether its source has the options."""
    if module == "misc":
        parse(root, words)
        return
    source = source_of(root, module)
    if source is None:
        top = module.partition(".")[0]
        assert top not in ("misc", "tests"), f"there is no module {module}"
        assert importlib.util.find_spec(top), f"there is no module {module}"
        return
    text = source.read_text()
    assert source.stem == "__main__" or '__name__ == "__main__"' in text, f"{module} cannot be run"
    known = options_of(text) | {"--help"}
    if module.startswith("misc.train."):
        known |= options_of((root / "train/options.py").read_text())
    for word in words:
        option = word.partition("=")[0]
        assert not option.startswith("--") or option in known, f"{module} has no option {option}"


def source_of(root: Path, module: str) -> Path | None:
    """The file of one of the project's own modules that can be run, None of others."""
    first, _, rest = module.partition(".")
    if first == "misc":
        folder, _, name = rest.partition(".")
        path = root / folder / name.replace(".", "/") if folder in ("train", "eval", "models") else root / "misc" / rest
    else:
        path = root / module.replace(".", "/")
    return next((each for each in (path.with_suffix(".py"), path / "__main__.py") if each.is_file()), None)


def options_of(source: str) -> set[str]:
    """Names of options that a script may have: those that it spells out, and those of its functions' parameters."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(part for part in node.value.split("/") if part.startswith("--"))
        if isinstance(node, ast.FunctionDef) and node.name == "main":
            for each in node.args.args:
                name = each.arg.replace("_", "-")
                found |= {f"--{name}", f"--no-{name}"}
    return found
