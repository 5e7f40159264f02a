"""What the page gets, read back in Python."""

import base64
import io
import json
from typing import Any

import numpy as np
from PIL import Image

from palpate.view.site import Site


def data(site: Site, name: str) -> Any:
    """The value that a script of data hands over."""
    found = site.find(f"data/{name}.js")
    assert found is not None, name
    text = found.decode()
    assert text.startswith(f'palpate.receive("{name}",') and text.endswith(");\n")
    return json.loads(text[text.index(",") + 1 : -3])


def column(table: dict[str, Any], key: str) -> list[Any]:
    """The values of a column, one per record, as the page reads them."""
    rows = next(one for one in table["columns"] if one["key"] == "row")
    one = next(one for one in table["columns"] if one["key"] == key)
    kind = f"<u{one['width']}" if one["kind"] == "choice" else "<f4"
    values = np.frombuffer(base64.b64decode(one["data"]), kind)
    if one["byImage"]:
        values = values[np.frombuffer(base64.b64decode(rows["data"]), f"<u{rows['width']}")]
    return [one["names"][code] for code in values] if one["kind"] == "choice" else values.tolist()


def pixels(site: Site, name: str) -> np.ndarray:
    """A picture as whole numbers."""
    found = site.find(name)
    assert found is not None, name
    return np.asarray(Image.open(io.BytesIO(found))).astype(int)
