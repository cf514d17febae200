"""One picture, from a file or from a stranger's bytes: refused in one sentence, or square and of the size asked."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from course_utils.data.core import DataError

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}
FORMATS = tuple(sorted(set(SUFFIXES.values())))
EIGHT_BIT = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"}
GREY = {"1", "L", "LA"}
MAX_PIXELS = 40_000_000  # of one picture: read from its header, before it is unpacked
MAX_FILE = 200 * 2**20
MAX_SCANS = 100  # of a progressive JPEG, which usually has ten: each pass goes over all pixels, and costs a few bytes


def read_image(file: Path, size: int, channels: int = 3, formats: Sequence[str] = FORMATS) -> np.ndarray:
    """One picture file as uint8 (size, size, 3), or (size, size) for one channel. DataError as for `decode_image`."""
    if not file.is_file():
        raise DataError(f"{file} is not a file that can be read; replace or remove it")
    if file.stat().st_size > MAX_FILE:
        raise DataError(
            f"{file} has {file.stat().st_size / 2**20:,.0f} MB; a picture may have at most {MAX_FILE / 2**20:.0f} MB"
        )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); replace or remove it") from None
    return decode_image(content, str(file), size, channels, formats=formats)


def decode_image(
    content: bytes,
    name: str,
    size: int,
    channels: int = 3,
    *,
    max_pixels: int = MAX_PIXELS,
    formats: Sequence[str] = FORMATS,
) -> np.ndarray:
    """One picture from the bytes of its file: central square, bicubic with antialiasing, uint8 (size, size, 3).

    With one channel: (size, size), colour turned to grey first. Only `formats` are tried, whatever `name` ends with.
    DataError, naming `name`, for what is no picture, damaged, too large, not 8 bits, or several in one. Type and
    dimensions are taken from the header first, so that a small file cannot unpack to gigabytes.
    """
    if content.startswith(b"\xff\xd8") and content.count(b"\xff\xda") > MAX_SCANS:  # never within a pass's own data
        raise DataError(f"{name} is a JPEG of more than {MAX_SCANS} passes; save it again as an ordinary picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, for which our own lower limit follows, and of odd metadata
            with Image.open(io.BytesIO(content), formats=list(formats)) as image:
                _check_picture(image, name, max_pixels)
                return np.asarray(_square(image, size, channels))
    except DataError:
        raise
    except UnidentifiedImageError:
        kinds = ", ".join(formats)
        raise DataError(f"{name} is no picture of a kind that is read ({kinds}), or damaged; replace it") from None
    except Image.DecompressionBombError:  # Pillow's own limit, when the header alone says gigabytes
        raise DataError(
            f"{name} cannot be read: it has hundreds of millions of pixels; the most is {_millions(max_pixels)}"
        ) from None
    except Exception as error:  # on damaged files Pillow's readers raise a dozen classes, struct.error to ZeroDivision
        brief = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise DataError(
            f"{name} cannot be read ({brief}); it is damaged or something else: replace or remove it"
        ) from None


def _millions(pixels: int) -> str:
    return f"{pixels / 1e6:g} million pixels"


def _check_picture(image: Image.Image, name: str, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise DataError(f"{name} is {width}×{height} pixels; the most that is read is {_millions(max_pixels)}")
    if image.mode not in EIGHT_BIT:
        raise DataError(f"{name} is of the kind {image.mode!r}; pictures must be grey or colour with 8 bits a channel")
    if getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{name} holds {image.n_frames} pictures; one file must hold one")
    if min(width, height) < 8:
        raise DataError(f"{name} is {width}×{height} pixels; the short edge must have at least 8")


def _square(image: Image.Image, size: int, channels: int) -> Image.Image:
    width, height = image.size
    edge = min(width, height)
    left, top = (width - edge) // 2, (height - edge) // 2
    grey = channels == 1 or image.mode in GREY
    square = image.convert("L" if grey else "RGB").crop((left, top, left + edge, top + edge))
    return square.resize((size, size), Image.Resampling.BICUBIC).convert("L" if channels == 1 else "RGB")
