"""`palpate view`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palpate.console import echo

LIMIT = 600


def view(
    run: Annotated[Path, typer.Argument(help="The run folder, finished or not.")],
    out: Annotated[Path | None, typer.Option(help="Write the page as a folder to send on, and serve nothing.")] = None,
    limit: Annotated[
        int,
        typer.Option(
            min=0, help="With --out: most pictures (PNG files) in the folder; a record has up to three for each slice."
        ),
    ] = LIMIT,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; by default any free one.")] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the address and open no browser.")] = False,
    root: Annotated[
        Path | None, typer.Option(help="Folder that the paths of the plan start from, if the images were moved.")
    ] = None,
    names: Annotated[
        bool, typer.Option("--names", help="Show the images' file names and groups, which may identify patients.")
    ] = False,
) -> None:
    """Look at every image of a run: filter, sort, zoom, compare before and after. Only on this machine; read-only."""
    from palpate.view.opened import opened

    found = opened(run, names=names, root=root)
    if out is not None:
        from palpate.view.folder import write_folder

        written = write_folder(found, out, limit)
        echo(out / "index.html")
        echo(written.said, err=True)
        return
    from palpate.view.server import Server
    from palpate.view.site import Site

    with Server(Site(found), port) as server:
        echo(server.address)
        echo("The page is open to this machine alone, until Ctrl-C.", err=True)
        if not no_open:
            _open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            echo("Stopped.", err=True)


def _open(address: str) -> None:
    """Open the browser by a file that only this user can read: other users can read the arguments of its process."""
    import atexit
    import html
    import shutil
    import tempfile
    import webbrowser

    folder = Path(tempfile.mkdtemp(prefix="palpate-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    page = folder / "open.html"
    page.touch(mode=0o600)
    page.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(address)}">')
    webbrowser.open(page.as_uri())
