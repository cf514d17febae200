// From a picture file to the numbers the model takes, step by step as the server does it:
// check → decode → central square → grey (or colour) → resize like Pillow. No picture leaves this module.

export const MAX_BYTES = 20 * 2 ** 20;    // of one file
const MAX_PIXELS = 40e6;                  // of one picture: read from its header, before it is unpacked
const MIN_EDGE = 8;
const DECODE = { colorSpaceConversion: "none", premultiplyAlpha: "none" };

/** What is wrong with a file, in one sentence for the person who chose it. */
export class ScanError extends Error {}

/** One picture file (a Blob) → Uint8Array of channels × size × size, channel by channel. Throws ScanError. */
export async function readScan(file, { size, channels }) {
  if (file.size === 0) throw new ScanError("The file is empty.");
  if (file.size > MAX_BYTES) {
    throw new ScanError(`The file has ${(file.size / 2 ** 20).toFixed(0)} MB; at most ${MAX_BYTES / 2 ** 20} MB are read.`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const kind = inspect(bytes);
  const { pixels, edge } = await decodeSquare(new Blob([kind.bytes ?? bytes], { type: kind.type }), kind);
  const planes = channels === 1 ? [toGrey(pixels)] : [0, 1, 2].map((c) => pixels.filter((_, i) => i % 4 === c));
  const scan = new Uint8Array(channels * size * size);
  planes.forEach((plane, c) => scan.set(resize(plane, edge, size), c * size * size));
  return scan;
}

// --- what kind of file is it? ----------------------------------------------------------------------------------------
// The name says nothing reliable; the first bytes do. Everything a decoder could trip over is refused here.

/** {type, width, height} from the header of a whole PNG, JPEG or BMP file. Throws ScanError. */
export function inspect(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const starts = (...wanted) => wanted.every((byte, i) => bytes[i] === byte);
  let found;
  try {
    if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) found = inspectPng(bytes, view);
    else if (starts(0xff, 0xd8, 0xff)) found = inspectJpeg(bytes, view);
    else if (starts(0x42, 0x4d)) found = inspectBmp(bytes, view);
  } catch (error) {
    if (error instanceof RangeError) throw new ScanError("The picture is cut short; copy the file again.");
    throw error;
  }
  if (!found) {
    const tiff = starts(0x49, 0x49, 0x2a, 0) || starts(0x4d, 0x4d, 0, 0x2a);
    throw new ScanError(tiff ? "Browsers cannot read TIFF; save the scan as PNG." : "This is no PNG, JPEG or BMP picture.");
  }
  const { width, height } = found;
  if (Math.min(width, height) < MIN_EDGE) {
    throw new ScanError(`The picture is ${width} × ${height} pixels; the short edge must have at least ${MIN_EDGE}.`);
  }
  if (width * height > MAX_PIXELS) {
    throw new ScanError(`The picture is ${width} × ${height} pixels; at most ${MAX_PIXELS / 1e6} million are read.`);
  }
  return found;
}

function inspectPng(bytes, view) {
  const width = view.getUint32(16), height = view.getUint32(20);
  if (view.getUint8(24) === 16) throw new ScanError("The picture has 16 bits a pixel; save it with 8.");
  for (let at = 8; ; ) {                                      // chunk: length, name, data, checksum
    const length = view.getUint32(at), name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (view.getUint32(at + 8 + length) !== crc32(bytes.subarray(at + 4, at + 8 + length))) {
      throw new ScanError("The picture is damaged (a checksum is wrong); copy the file again.");
    }
    if (name === "acTL") throw new ScanError("The file holds several pictures; one file must hold one.");
    if (name === "IEND") return { type: "image/png", width, height };
    at += 12 + length;
  }
}

function inspectJpeg(bytes, view) {
  const keep = [bytes.subarray(0, 2)];
  for (let at = 2; ; ) {                                      // segment: 0xff, marker, length, data
    if (view.getUint8(at) !== 0xff) throw new ScanError("The picture is damaged; copy the file again.");
    const marker = view.getUint8(at + 1), length = view.getUint16(at + 2), end = at + 2 + length;
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      if (view.getUint8(at + 9) === 4) throw new ScanError("The picture is in printing colours (CMYK); save it as PNG.");
      if (!endsWell(bytes)) throw new ScanError("The picture is cut short; copy the file again.");
      // A camera's note "turn me" (Exif, segment E1) is left out: the server does not turn pictures either.
      const upright = new Blob([...keep, bytes.subarray(at)]);
      return { type: "image/jpeg", width: view.getUint16(at + 7), height: view.getUint16(at + 5), bytes: upright };
    }
    if (marker !== 0xe1) keep.push(bytes.subarray(at, end));
    at = end;
  }
}

function inspectBmp(bytes, view) {
  if (view.getUint32(2, true) > bytes.length) throw new RangeError();
  if (view.getUint32(14, true) < 40) throw new ScanError("The picture is a BMP of an old kind; save it as PNG.");
  return { type: "image/bmp", width: Math.abs(view.getInt32(18, true)), height: Math.abs(view.getInt32(22, true)) };
}

/** Whether a JPEG's end marker is there; some cameras pad a little behind it. */
function endsWell(bytes) {
  for (let at = bytes.length - 2; at > Math.max(0, bytes.length - 4096); at--) {
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
  }
  return false;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

// --- decode ----------------------------------------------------------------------------------------------------------
/** The central square of a picture as RGBA bytes, with its edge in pixels. */
async function decodeSquare(blob, { width, height }) {
  const edge = Math.min(width, height), left = (width - edge) >> 1, top = (height - edge) >> 1;
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, left, top, edge, edge, DECODE);
  } catch {
    throw new ScanError("The picture cannot be decoded; it is damaged.");
  }
  const canvas = new OffscreenCanvas(edge, edge);
  const context = canvas.getContext("2d", { willReadFrequently: true });   // in memory, not on a graphics card
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = context.getImageData(0, 0, edge, edge).data;
  for (let i = 3; i < pixels.length; i += 4) {
    if (pixels[i] !== 255) throw new ScanError("The picture has transparent parts; save it without transparency.");
  }
  return { pixels, edge };
}

/** RGBA → grey by the usual weights (ITU-R 601-2), in the whole numbers that Pillow uses. */
export function toGrey(rgba) {
  const grey = new Uint8Array(rgba.length / 4);
  for (let i = 0, j = 0; j < grey.length; i += 4, j++) {
    grey[j] = (rgba[i] * 19595 + rgba[i + 1] * 38470 + rgba[i + 2] * 7471 + 0x8000) >> 16;
  }
  return grey;
}

// --- resize ----------------------------------------------------------------------------------------------------------
// Each new pixel is a weighted sum of old ones, first along the rows, then down the columns. The weights follow a cubic
// (Keys, 1981, a = −0.5); when a picture shrinks, the cubic is stretched by the same factor, so fine texture is averaged
// instead of skipped: "antialiasing". Pillow rounds the weights to multiples of 2⁻²² and works in whole numbers. We do
// too, and the result is the same to the last bit.

const BITS = 22;

/** One square plane of bytes, edge × edge → size × size. */
export function resize(plane, edge, size) {
  if (edge === size) return plane;
  const weights = resizeWeights(edge, size);
  const transposed = resizeRows(plane, edge, edge, weights, size);  // turned over on the way: rows become columns …
  return resizeRows(transposed, edge, size, weights, size);         // … so that a second pass does the other direction
}

function cubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** For each new pixel the first old pixel it looks at, and whole-number weights from there on. */
function resizeWeights(edge, size) {
  const scale = edge / size, stretch = Math.max(scale, 1), support = 2 * stretch;
  return Array.from({ length: size }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const last = Math.min(edge, Math.trunc(center + support + 0.5));
    const raw = Array.from({ length: last - first }, (_, k) => cubic((k + first - center + 0.5) * (1 / stretch)));
    const total = raw.reduce((sum, w) => sum + w, 0);
    const whole = raw.map((w) => w / total * 2 ** BITS).map((w) => Math.trunc(w < 0 ? w - 0.5 : w + 0.5));
    return { first, whole };
  });
}

/** Resize every row of `rows` × `columns` bytes to `size`; the result comes transposed, `size` × `rows`. */
function resizeRows(plane, columns, rows, weights, size) {
  const out = new Uint8ClampedArray(size * rows);               // clamps to 0 … 255
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < size; x++) {
      const { first, whole } = weights[x];
      let sum = 2 ** (BITS - 1);                                // one half, for rounding
      for (let k = 0, at = y * columns + first; k < whole.length; k++) sum += plane[at + k] * whole[k];
      out[x * rows + y] = sum >> BITS;
    }
  }
  return out;
}
