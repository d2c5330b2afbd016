/** From the network's map to a mask of the image's own size: bilinear, half-pixel centers, edges clamped. */

/** A map over the whole image, row by row; values are 0..1. */
export interface ProbabilityMap {
  width: number;
  height: number;
  data: Float32Array<ArrayBuffer>;
}

interface Blend {
  low: Int32Array;
  high: Int32Array;
  share: Float32Array;
}

/** Returns round(255 p) at the given size. */
export function toMask8(map: ProbabilityMap, width: number, height: number): Uint8Array<ArrayBuffer> {
  const columns = makeBlend(map.width, width);
  const rows = makeBlend(map.height, height);
  const out = new Uint8Array(width * height);
  const above = new Float32Array(width);
  const below = new Float32Array(width);
  for (let y = 0; y < height; y++) {
    stretchRow(map, rows.low[y], columns, above);
    stretchRow(map, rows.high[y], columns, below);
    const share = rows.share[y];
    for (let x = 0; x < width; x++) {
      const p = above[x] * (1 - share) + below[x] * share;
      out[y * width + x] = roundHalfEven(255 * Math.min(1, Math.max(0, p)));
    }
  }
  return out;
}

function stretchRow(map: ProbabilityMap, y: number, columns: Blend, out: Float32Array): void {
  const row = y * map.width;
  for (let x = 0; x < out.length; x++) {
    const share = columns.share[x];
    out[x] = map.data[row + columns.low[x]] * (1 - share) + map.data[row + columns.high[x]] * share;
  }
}

export function makeBlend(inSize: number, outSize: number): Blend {
  const low = new Int32Array(outSize);
  const high = new Int32Array(outSize);
  const share = new Float32Array(outSize);
  const scale = inSize / outSize;
  for (let i = 0; i < outSize; i++) {
    const position = Math.min(inSize - 1, Math.max(0, (i + 0.5) * scale - 0.5));
    low[i] = Math.floor(position);
    high[i] = Math.min(inSize - 1, low[i] + 1);
    share[i] = position - low[i];
  }
  return { low, high, share };
}

function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}
