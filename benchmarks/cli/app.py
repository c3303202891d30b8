"""The command line: `leakbench run | synthesize | audit | report | compare | list | check | doctor`."""

import signal
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from leakbench.benchmarks.cli.exits import guarded, terminate
from leakbench.benchmarks.storage.allocator import keep_freed_memory

COMMANDS = {
    "run": ("run:run", "Run a suite; the same command again resumes it."),
    "synthesize": ("synthesize:synthesize", "Just make the release of a defense: a folder of images."),
    "audit": ("audit:audit", "Judge released pictures against the private ones."),
    "report": ("reading:report", "Write the tables and the report of a run again."),
    "compare": ("reading:compare", "Put runs side by side: what changed, and by how much."),
    "check": ("reading:check", "Try defenses on small data: pass, or the one thing to change."),
    "doctor": ("reading:doctor", "Say what this machine has and what it lacks."),
    "list": ("reading:list_", "List what there is."),
}  # fmt: skip
"""Module beside this file and function of each command, and the first sentence of its help."""

_PLAIN: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,  # it would take [@SCENARIO] for its own
}


class Commands(TyperGroup):
    """The commands, each imported when it is asked for: what they need takes ten seconds to import."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is meant, by its name."""
        name, stub, rest = super().resolve_command(ctx, args)
        return name, stub if name is None else imported(name), rest


def imported(name: str) -> Any:
    """A command with its options.

    Args:
        name: one of `COMMANDS`.
    """
    module, function = COMMANDS[name][0].split(":")
    command = typer.Typer(**_PLAIN)
    command.command(name)(getattr(import_module(f"leakbench.benchmarks.cli.{module}"), function))
    return typer.main.get_command(command)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="What does a synthetic image dataset give away about the private images behind it, and what is it good for?",
    **_PLAIN,
)
for _name, (_, _sentence) in COMMANDS.items():
    app.command(_name, help=_sentence)(lambda: None)  # named here; `Commands` puts the real one in its place


def main() -> None:
    """Entry point: a user's mistake is one sentence and status 2, never a traceback."""
    keep_freed_memory()
    signal.signal(signal.SIGTERM, terminate)
    raise SystemExit(guarded(lambda: app(standalone_mode=False)))


if __name__ == "__main__":
    main()
