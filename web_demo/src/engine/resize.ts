/**
 * The resize of the contract: Pillow's 8-bit BILINEAR, written out, difference 0.
 *
 * A triangle filter of support max(1, in/out) with 22-bit fixed-point weights; the horizontal pass comes first, and each
 * pass rounds to 8 bits.
 */

const WEIGHT_BITS = 22; // 32 minus 8 bits of pixel and 2 of headroom
const HALF = 1 << (WEIGHT_BITS - 1);

/** For every output position the first input position, and `taps` weights from there. */
interface Filter {
  first: Int32Array;
  weights: Int32Array;
  taps: number;
}

/** Resizes images of one network's input size; keeps its filters and buffers from one image to the next. */
export class PillowResizer {
  private columns: Filter | null = null;
  private rows: Filter | null = null;
  private from = "";
  private wide = new Uint8Array(0);
  private readonly sums: Int32Array;

  constructor(
    readonly height: number,
    readonly width: number,
  ) {
    this.sums = new Int32Array(width * 3);
  }

  /** Takes (inHeight, inWidth, 4) RGBA, ignores alpha, and returns (height, width, 3) RGB. */
  resize(rgba: Uint8Array | Uint8ClampedArray, inHeight: number, inWidth: number): Uint8Array {
    const key = `${inHeight} x ${inWidth}`;
    if (key !== this.from || this.columns === null || this.rows === null) {
      this.columns = makeFilter(inWidth, this.width);
      this.rows = makeFilter(inHeight, this.height);
      this.wide = new Uint8Array(inHeight * this.width * 3);
      this.from = key;
    }
    resizeColumns(rgba, inHeight, inWidth, this.columns, this.width, this.wide);
    return resizeRows(this.wide, this.rows, this.height, this.width, this.sums);
  }
}

/** Double arithmetic in this very order: another order moves some weights by one unit, and with them some pixels. */
export function makeFilter(inSize: number, outSize: number): Filter {
  const scale = inSize / outSize;
  const support = Math.max(scale, 1);
  const perInput = 1 / support;
  const begins = new Int32Array(outSize);
  const ends = new Int32Array(outSize);
  let taps = 0;
  for (let i = 0; i < outSize; i++) {
    const center = (i + 0.5) * scale;
    begins[i] = Math.max(0, Math.trunc(center - support + 0.5));
    ends[i] = Math.min(inSize, Math.trunc(center + support + 0.5));
    taps = Math.max(taps, ends[i] - begins[i]);
  }
  const first = new Int32Array(outSize);
  const weights = new Int32Array(outSize * taps); // zeros fill up, so that every position has the same number of taps
  for (let i = 0; i < outSize; i++) {
    const center = (i + 0.5) * scale;
    const heights: number[] = [];
    let sum = 0;
    for (let k = begins[i]; k < ends[i]; k++) {
      const distance = Math.abs((k - center + 0.5) * perInput);
      const height = distance < 1 ? 1 - distance : 0;
      heights.push(height);
      sum += height;
    }
    first[i] = Math.min(begins[i], inSize - taps);
    const offset = i * taps + begins[i] - first[i];
    heights.forEach((height, k) => {
      const share = sum !== 0 ? height / sum : height;
      weights[offset + k] = Math.trunc(0.5 + share * (1 << WEIGHT_BITS));
    });
  }
  return { first, weights, taps };
}

function resizeColumns(rgba: Uint8Array | Uint8ClampedArray, height: number, inWidth: number, filter: Filter, width: number, out: Uint8Array): void {
  const { first, weights, taps } = filter;
  let to = 0;
  for (let y = 0; y < height; y++) {
    const row = y * inWidth * 4;
    for (let x = 0, w = 0; x < width; x++) {
      let r = HALF;
      let g = HALF;
      let b = HALF;
      for (let from = row + first[x] * 4, end = from + taps * 4; from < end; from += 4, w++) {
        const weight = weights[w];
        r = (r + Math.imul(rgba[from], weight)) | 0;
        g = (g + Math.imul(rgba[from + 1], weight)) | 0;
        b = (b + Math.imul(rgba[from + 2], weight)) | 0;
      }
      out[to] = clip8(r);
      out[to + 1] = clip8(g);
      out[to + 2] = clip8(b);
      to += 3;
    }
  }
}

/** Whole rows at a time, so that memory is read in order. */
function resizeRows(wide: Uint8Array, filter: Filter, height: number, width: number, sums: Int32Array): Uint8Array {
  const { first, weights, taps } = filter;
  const stride = width * 3;
  const out = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < taps; k++) {
      const weight = weights[y * taps + k];
      if (weight === 0) continue;
      const from = (first[y] + k) * stride;
      for (let i = 0; i < stride; i++) sums[i] = (sums[i] + Math.imul(wide[from + i], weight)) | 0;
    }
    const to = y * stride;
    for (let i = 0; i < stride; i++) out[to + i] = clip8(sums[i]);
  }
  return out;
}

/** No weight is negative, so only the upper end needs a bound. */
function clip8(sum: number): number {
  const value = sum >> WEIGHT_BITS;
  return value > 255 ? 255 : value;
}
