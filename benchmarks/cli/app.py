"""The command line: `leakbench run | synthesize | audit | report | compare | list | check | doctor`."""

import signal

import typer

from leakbench.benchmarks.cli.audit import audit
from leakbench.benchmarks.cli.exits import guarded, terminate
from leakbench.benchmarks.cli.reading import check, compare, doctor, list_, report
from leakbench.benchmarks.cli.run import run
from leakbench.benchmarks.cli.synthesize import synthesize
from leakbench.benchmarks.storage.environment import keep_freed_memory

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it would take [@SCENARIO] for its own
    help="What does a synthetic image dataset give away about the private images behind it, and what is it good for?",
)
for command in (run, synthesize, audit, report, compare, check, doctor):
    app.command()(command)
app.command("list")(list_)


def main() -> None:
    """Entry point: a user's mistake is one sentence and status 2, never a traceback."""
    keep_freed_memory()
    signal.signal(signal.SIGTERM, terminate)
    raise SystemExit(guarded(lambda: app(standalone_mode=False)))


if __name__ == "__main__":
    main()
