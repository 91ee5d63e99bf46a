"""What all commands share: streams, JSON, errors and exit codes, a quiet TensorFlow."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.logging import RichHandler

from zerobias.errors import ZerobiasError
from zerobias.events import default_sample
from zerobias.zoo import Model, load_keras

__all__ = [
    "AsJson",
    "ModelName",
    "ModelsFolder",
    "Sample",
    "TargetName",
    "emit",
    "err",
    "guarded",
    "load_keras",
    "out",
    "progress",
    "sample_of",
]

_WIDTH = None if sys.stdout.isatty() else 110
out = Console(width=_WIDTH)
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
ModelName = Annotated[str, typer.Argument(help="Name of a model, see `zerobias models`.")]
ModelsFolder = Annotated[
    Path | None, typer.Option("--models", help="A folder with further model folders.", file_okay=False)
]
Sample = Annotated[Path | None, typer.Option("--sample", help="Event file; default: the shipped sample.")]
TargetName = Annotated[
    str | None, typer.Option("--target", help="A board of firmware/targets; default: the model's own.")
]

P = ParamSpec("P")


def sample_of(model: Model, given: Path | None) -> Path:
    """The event file of the option ``--sample``, or the shipped one that holds what ``model`` reads."""
    return given or default_sample(model.contract.spec.collection)


@contextmanager
def progress(text: str) -> Iterator[Callable[[str, int, int], None]]:
    """A status line; yields what is called with (step, done, total)."""
    with err.status(text) as status:
        yield lambda step, done, total: status.update(f"{step}: {done} of {total}")


def emit(document: Any, as_json: bool, text: Any) -> None:
    """Print ``document`` as JSON, or ``text`` for people."""
    if as_json:
        sys.stdout.write(json.dumps(document, indent=2, sort_keys=True) + "\n")
    else:
        out.print(text)


def guarded(command: Callable[P, None]) -> Callable[P, None]:
    """A command whose expected errors become one sentence and an exit code, never a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        logging.basicConfig(
            level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=err, show_path=False)]
        )
        try:
            command(*args, **kwargs)
        except ZerobiasError as error:
            _fail(str(error), error.exit_code)
        except KeyboardInterrupt:
            _fail("interrupted; finished files are whole, run the command again", 2)
        except OSError as error:
            _fail(f"{error.filename or 'a file'}: {error.strerror}; free space or mend its permissions", 2)

    return run


def _fail(message: str, code: int) -> None:
    err.print(f"error: {message}", style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(code)
