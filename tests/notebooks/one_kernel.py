"""Many notebooks in one kernel, emptied between them: most of a smoke run is imports, which are paid for once."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient


@contextmanager
def one_kernel(folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Callable[..., None]]:
    """A kernel that starts in `folder` with these environment variables; yields what runs a notebook's file in it.

    Before it, the kernel runs the code `first` and forgets all names. nbclient.exceptions.CellExecutionError where a
    cell fails; the kernel then still lives.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (variables or {}).items():
            patch.setenv(name, value)
        place = {"metadata": {"path": str(folder)}}
        client = NotebookClient(nbformat.v4.new_notebook(), timeout=None, kernel_name="python3", resources=place)

        def run(path: Path, first: str = "") -> None:
            client.nb = nbformat.read(path, as_version=4)
            client.nb.cells.insert(0, nbformat.v4.new_code_cell(f"{first}\n%reset -f"))
            client.execute(cleanup_kc=False)

        with client.setup_kernel():
            yield run
