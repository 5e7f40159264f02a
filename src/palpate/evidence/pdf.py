"""A page as PDF, by a browser or by WeasyPrint where one is installed: scripts off, and no network."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_SECONDS = 120
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Of the page that is printed, beside its own: a browser obeys both, so no script runs and nothing is loaded."""
_NOWHERE = "127.0.0.1:9"
"""A proxy that does not answer: port 9 discards."""


def printer() -> str | None:
    """The program that can print: path of a browser, `weasyprint`, or None."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    return found or ("weasyprint" if _weasyprint() else None)


def print_page(page: Path, pdf: Path, by: str) -> str:
    """Print a page; gives an empty text, or why there is no PDF.

    Args:
        page: the HTML file.
        pdf: the file to write.
        by: what `printer` gave.
    """
    try:
        _with_weasyprint(page, pdf) if by == "weasyprint" else _with_browser(by, page, pdf)
    except subprocess.TimeoutExpired:
        return f"{Path(by).name} took longer than {_SECONDS} seconds."
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        return f"{Path(by).name} could not print the page ({type(error).__name__})."
    return "" if pdf.is_file() and pdf.stat().st_size else f"{Path(by).name} wrote no file."


def command(browser: str, page: Path, pdf: Path, profile: Path) -> list[str]:
    """How a browser of Chromium's family prints: no name of a host is found, and no proxy answers."""
    alone = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [
        browser,
        "--headless",
        *alone,
        "--disable-gpu",
        "--disable-extensions",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--proxy-server=socks5://{_NOWHERE}",
        f"--user-data-dir={profile}",
        "--no-pdf-header-footer",
        f"--print-to-pdf={pdf.resolve()}",
        page.resolve().as_uri(),
    ]


def without_scripts(page: str) -> str:
    """The page with a second policy, which allows no script and no request.

    Chromium's own switch for scripts also stops its printing.
    """
    return page.replace("<head>", f'<head>\n<meta http-equiv="Content-Security-Policy" content="{_POLICY}">', 1)


def _with_browser(browser: str, page: Path, pdf: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="palpate-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / page.name
        copy.write_text(without_scripts(page.read_text(encoding="utf-8")), encoding="utf-8")
        subprocess.run(
            command(browser, copy, pdf, Path(folder) / "profile"),
            check=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _weasyprint() -> bool:
    from importlib.util import find_spec

    return find_spec("weasyprint") is not None


def _with_weasyprint(page: Path, pdf: Path) -> None:
    # A process of its own, since WeasyPrint can take minutes for a page with many drawings, and has no limit of time.
    subprocess.run(
        [sys.executable, "-m", __name__, str(page.resolve()), str(pdf.resolve())],
        check=True,
        timeout=_SECONDS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def fetch(url: str, *_: object, **__: object) -> dict[str, object]:
    """What WeasyPrint may load: data in the page itself. It needs no help of WeasyPrint, whose versions differ.

    Args:
        url: a `data:` URL in base64.

    Raises:
        ValueError: any other URL.
    """
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64") or not comma:
        raise ValueError("a page of palpate holds all that it shows")
    kind = head.removeprefix("data:").partition(";")[0]
    return {"string": base64.b64decode(unquote(data)), "mime_type": kind, "redirected_url": url}


def _printed(page: Path, pdf: Path) -> None:
    from weasyprint import HTML

    HTML(string=page.read_text(encoding="utf-8"), url_fetcher=fetch).write_pdf(str(pdf))


if __name__ == "__main__":
    _printed(Path(sys.argv[1]), Path(sys.argv[2]))
