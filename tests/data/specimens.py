"""Small valid files of every format and kind that palpate reads, to be damaged by the fuzzers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import tifffile
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from tests.data.dicom.making import ct_slice, image, saved
from tests.data.meta import meta
from tests.data.pictures import noise, png_bytes, save
from tests.data.volumes import changed, scan, write


def specimens(folder: Path) -> dict[str, bytes]:
    """The files by name; `folder` is for files that libraries only write to a disk."""
    _pictures(folder)
    _tiffs(folder)
    _volumes(folder)
    _others(folder)
    _dicoms(folder)
    np.savez_compressed(folder / "archive.npz", test_images=noise(3, 8, 9), test_labels=np.array([[0], [1], [0]]))
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _pictures(folder: Path) -> None:
    for name, pixels in _four().items():
        (folder / f"{name}.png").write_bytes(
            png_bytes(pixels, depth=pixels.itemsize * 8, colour={1: 0, 3: 2}[pixels.shape[2]], row_filter=2)
        )
    Image.fromarray(noise(8, 9, 3)).quantize(7).save(folder / "palette.png")
    save(folder / "opaque.png", np.concatenate([noise(8, 9, 3), np.full((8, 9, 1), 255, np.uint8)], axis=2))
    for suffix in ("bmp", "gif", "webp"):
        save(folder / f"grey.{suffix}", noise(8, 9))
        save(folder / f"colour.{suffix}", noise(8, 9, 3))
    save(folder / "grey.jpg", noise(16, 17))
    save(folder / "colour.jpg", noise(16, 17, 3), quality=50)
    save(folder / "progressive.jpg", noise(16, 17, 3), progressive=True, subsampling=0)


def _four() -> dict[str, np.ndarray]:
    depths = {"8": "uint8", "16": "uint16"}
    return {
        f"{colour}{depth}": noise(8, 9, channels, dtype=kind)
        for colour, channels in (("grey", 1), ("rgb", 3))
        for depth, kind in depths.items()
    }


def _tiffs(folder: Path) -> None:
    for name, pixels in _four().items():
        for compression in (None, "zlib"):
            tifffile.imwrite(
                folder / f"{name}_{compression}.tif",
                pixels if pixels.shape[2] == 3 else pixels[..., 0],
                photometric="rgb" if pixels.shape[2] == 3 else "minisblack",
                compression=compression,
                byteorder="<" if compression else ">",
            )
    tifffile.imwrite(folder / "floating.tif", noise(8, 9).astype(np.float32) / 7)
    tifffile.imwrite(folder / "signed.tif", noise(8, 9).astype(np.int16) - 99, compression="zlib")
    tifffile.imwrite(folder / "tiled.tif", noise(20, 33, dtype="uint16"), tile=(16, 16), bigtiff=True)
    tifffile.imwrite(folder / "imagej.tif", noise(8, 9), imagej=True)
    for compression in ("packbits", "tiff_lzw", "jpeg", "tiff_adobe_deflate", "tiff_ccitt"):
        pixels = noise(8, 9) > 99 if compression == "tiff_ccitt" else noise(8, 9)
        save(folder / f"{compression}.tif", pixels, compression="group4" if pixels.dtype == bool else compression)


def _volumes(folder: Path) -> None:
    for dtype in ("uint8", "int16", "float32"):
        write(folder / f"{dtype}.nii", scan(3, 5, 4).astype(dtype))
    write(folder / "packed.nii.gz", scan(3, 5, 4))
    write(folder / "channels.nii", scan(3, 5, 4, 2))
    write(folder / "plane.nii", scan(3, 5))
    changed(write(folder / "scaled.nii", scan(3, 5, 4)), "scl_slope", 0.5, "scl_inter", -3.0)
    for encoding in ("raw", "gzip"):
        fields: dict[str, Any] = {"space": "left-posterior-superior", "space directions": np.eye(3) * 2}
        nrrd.write(str(folder / f"{encoding}.nrrd"), scan(3, 5, 4), {**fields, "encoding": encoding})
    nrrd.write(str(folder / "plane.nrrd"), noise(9, 8), {"spacings": [0.5, 0.7], "encoding": "raw"})
    nrrd.write(str(folder / "colour.nrrd"), noise(3, 9, 8), {"kinds": ["RGB-color", "domain", "domain"]})


def _others(folder: Path) -> None:
    for packed in (False, True):
        meta(folder / f"meta{packed}.mha", scan(3, 5, 4), packed=packed)
    meta(folder / "big.mha", scan(4, 5).astype("float32"), big=True)
    np.save(folder / "volume.npy", scan(3, 5, 4))
    np.save(folder / "colour.npy", noise(8, 9, 3).astype("float32"))


def _dicoms(folder: Path) -> None:
    saved(folder / "ct.dcm", ct_slice(scan(8, 9), 1.0))
    saved(folder / "colour.dcm", image(noise(8, 9, 3)))
    saved(folder / "frames.dcm", image(noise(3, 8, 9)))
    saved(folder / "twelve.dcm", image(scan(8, 9).astype("uint16"), bits=12, PhotometricInterpretation="MONOCHROME1"))
    packed = ct_slice(scan(8, 9), 1.0)
    packed.compress(RLELossless)
    saved(folder / "rle.dcm", packed)
    packed = image(noise(40, 36))
    packed.compress(JPEG2000Lossless)
    saved(folder / "jpeg2000.dcm", packed)
    saved(folder / "jpeg.dcm", _jpeg())
    bare = (folder / "ct.dcm").read_bytes()[132:]
    (folder / "bare.dcm").write_bytes(bare)
    (folder / "no_meta.dcm").write_bytes(bare[12 + int.from_bytes(bare[8:12], "little") :])


def _jpeg() -> Any:
    from pydicom.encaps import encapsulate

    pixels, sink = noise(16, 17), io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG")
    dataset = image(pixels)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([sink.getvalue()])
    dataset["PixelData"].is_undefined_length = True
    return dataset
