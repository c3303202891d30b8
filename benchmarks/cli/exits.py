"""How the command line ends: one plain sentence for each mistake, and an exit status."""

from collections.abc import Callable

import typer
from rich.console import Console
from rich.text import Text
from typer import TyperException

from leakbench.benchmarks.storage.disk import FULL
from leakbench.benchmarks.suite.problems import RequestProblems

error_console = Console(stderr=True, highlight=False, markup=False)


def refuse(problems: list[str]) -> typer.Exit:
    """Say everything that is wrong with the request, one sentence a line, and leave with status 2."""
    for problem in problems:
        error_console.print(Text(problem), soft_wrap=True)
    return typer.Exit(2)


class Terminated(BaseException):
    """Somebody asked this process to stop: no cell may take it for its own failure."""


def terminate(*_: object) -> None:
    """What SIGTERM does."""
    raise Terminated


def _mistakes() -> tuple[type[Exception], ...]:
    """What a user's mistake is raised as; importing it takes ten seconds, and waits until something was raised."""
    from leakbench.reports.write import ReportProblem
    from leakbench.synth.data.image_files import DataProblems

    return RequestProblems, DataProblems, ReportProblem


def guarded(command: Callable[[], object]) -> int:
    """Run a command and turn its exceptions into an exit status.

    Args:
        command: the command line with its arguments.

    Returns:
        0 done, 1 some cell failed, 2 the request was wrong, 3 an audit found a leak, 4 it cannot tell,
        130 interrupted, 143 terminated.
    """
    try:
        status = command()
    except typer.Exit as stop:
        status = stop.exit_code
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    except Terminated:
        status = 143
    except OSError as error:
        if error.errno in FULL:
            refuse([f"{error.filename or 'the disk'}: no space is left; what is done is kept, make room and run again"])
            return 1
        return refuse([f"{error.filename or 'the system'}: {error.strerror or error}"]).exit_code
    except TyperException as error:
        return refuse([error.format_message()]).exit_code
    except Exception as error:
        if not isinstance(error, _mistakes()):
            raise
        return refuse(getattr(error, "problems", [str(error)])).exit_code
    if status in (130, 143):  # typer turns Ctrl-C into the first
        error_console.print("Interrupted; finished cells are kept, and the same command resumes.")
    return status if isinstance(status, int) else 0
