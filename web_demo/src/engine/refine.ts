/**
 * Refinement: a guided filter that fits p = A . I + b in windows of the network's own input image.
 *
 * Fast guided filter (He and Sun 2015) with confidence weights as in `edge_runtime/masks/refine.py`. The fit is done on
 * a grid of half the network's size; whoever draws brings A and b to the image's size and applies them to its pixels.
 */
import type { ProbabilityMap } from "./probability";

/** A (three planes) and b, interleaved, over the whole image: p = r A0 + g A1 + b A2 + b, with colors 0..1. */
export interface Planes {
  width: number;
  height: number;
  data: Float32Array<ArrayBuffer>;
}

const LOW = 0.3;
const HIGH = 0.5; // below LOW and above HIGH the network has an opinion
const BIAS = 0.8;
const CONFIDENCE_FLOOR = 0.01;
const GRID_SIDE = 96; // of the fit, at least; finer grids were no better on generated scenes
const RADIUS = 0.04; // of the window, as a share of the long side
const EPS = 0.01; // color difference, white = 1, below which an edge counts as noise
const QUIET = 0.01; // variance of p below which there is nothing to explain
const EXPLAINED_FROM = 0.1;
const EXPLAINED_TO = 0.5; // share of the variance that the fit explains: unrefined, fully refined

/** Planes that give the map back as it is. */
export function plainPlanes(map: ProbabilityMap): Planes {
  const data = new Float32Array(map.data.length * 4);
  for (let i = 0; i < map.data.length; i++) data[i * 4 + 3] = map.data[i];
  return { width: map.width, height: map.height, data };
}

// What the fit needs the mean of, side by side for each pixel: weight, then weight times p, pp, I, Ip and II.
const W = 0;
const P = 1;
const PP = 2;
const I = 3;
const IP = 6;
const II = 9; // rr, rg, rb, gg, gb, bb
const TERMS = 15;

/** `rgb`: (height, width, 3), the image that the network saw. */
export function fitPlanes(rgb: Uint8Array, map: ProbabilityMap): Planes {
  const factor = Math.max(1, Math.floor(Math.max(map.width, map.height) / GRID_SIDE));
  const width = Math.max(1, Math.floor(map.width / factor));
  const height = Math.max(1, Math.floor(map.height / factor));
  const grid = { width, height, factor, stride: map.width };
  const p = shrink(map.data, 1, grid);
  const radius = Math.max(1, Math.round(RADIUS * Math.max(width, height)));
  const sums = boxSum(makeTerms(shrink(rgb, 3, grid), p), width, height, TERMS, radius);
  const planes = new Float32Array(width * height * 5); // A, b, and 1 to count the pixels of a window
  for (let i = 0; i < p.length; i++) solvePixel(sums, i * TERMS, p[i], planes, i * 5);
  const smooth = boxSum(planes, width, height, 5, radius);
  const data = new Float32Array(width * height * 4);
  for (let i = 0; i < p.length; i++) {
    const area = smooth[i * 5 + 4];
    for (let c = 0; c < 4; c++) data[i * 4 + c] = smooth[i * 5 + c] / area;
  }
  return { width, height, data };
}

interface Grid {
  width: number;
  height: number;
  /** Pixels of the larger image for each pixel of the grid, in both directions. */
  factor: number;
  /** Width of the larger image. */
  stride: number;
}

/** Means over blocks; `channels` values lie side by side for each pixel. */
function shrink(values: Uint8Array | Float32Array, channels: number, { width, height, factor, stride }: Grid): Float32Array {
  const out = new Float32Array(width * height * channels);
  for (let y = 0; y < height * factor; y++) {
    const row = Math.floor(y / factor) * width;
    for (let x = 0; x < width * factor; x++) {
      const to = (row + Math.floor(x / factor)) * channels;
      const from = (y * stride + x) * channels;
      for (let c = 0; c < channels; c++) out[to + c] += values[from + c];
    }
  }
  const share = 1 / (factor * factor);
  for (let i = 0; i < out.length; i++) out[i] *= share;
  return out;
}

function makeTerms(rgb: Float32Array, map: Float32Array): Float32Array {
  const terms = new Float32Array(map.length * TERMS);
  for (let i = 0, t = 0; i < map.length; i++, t += TERMS) {
    const p = map[i];
    const w = confidence(p);
    const r = rgb[i * 3] / 255;
    const g = rgb[i * 3 + 1] / 255;
    const b = rgb[i * 3 + 2] / 255;
    terms[t + W] = w;
    terms[t + P] = w * p;
    terms[t + PP] = w * p * p;
    terms[t + I] = w * r;
    terms[t + I + 1] = w * g;
    terms[t + I + 2] = w * b;
    terms[t + IP] = w * r * p;
    terms[t + IP + 1] = w * g * p;
    terms[t + IP + 2] = w * b * p;
    terms[t + II] = w * r * r;
    terms[t + II + 1] = w * r * g;
    terms[t + II + 2] = w * r * b;
    terms[t + II + 3] = w * g * g;
    terms[t + II + 4] = w * g * b;
    terms[t + II + 5] = w * b * b;
  }
  return terms;
}

/** Solves cov(I) A = cov(I, p) by M = L D L^T, and blends with p where the fit explains little of it. */
function solvePixel(sums: Float32Array, s: number, ownP: number, out: Float32Array, o: number): void {
  const total = sums[s + W];
  const p = sums[s + P] / total;
  const r = sums[s + I] / total;
  const g = sums[s + I + 1] / total;
  const b = sums[s + I + 2] / total;
  const r0 = sums[s + IP] / total - r * p;
  const r1 = sums[s + IP + 1] / total - g * p;
  const r2 = sums[s + IP + 2] / total - b * p;
  const m00 = sums[s + II] / total - r * r + EPS * EPS;
  const m01 = sums[s + II + 1] / total - r * g;
  const m02 = sums[s + II + 2] / total - r * b;
  const m11 = sums[s + II + 3] / total - g * g + EPS * EPS;
  const m12 = sums[s + II + 4] / total - g * b;
  const m22 = sums[s + II + 5] / total - b * b + EPS * EPS;

  const l10 = m01 / m00;
  const l20 = m02 / m00;
  const d1 = m11 - l10 * m01;
  const l21 = (m12 - l20 * m01) / d1;
  const d2 = m22 - l20 * m02 - l21 * l21 * d1;
  const y1 = r1 - l10 * r0;
  const a2 = (r2 - l20 * r0 - l21 * y1) / d2;
  const a1 = y1 / d1 - l21 * a2;
  const a0 = r0 / m00 - l10 * a1 - l20 * a2;

  const variance = Math.max(sums[s + PP] / total - p * p, 0);
  const explained = (a0 * r0 + a1 * r1 + a2 * r2 + QUIET) / (variance + QUIET);
  const share = smoothStep((explained - EXPLAINED_FROM) / (EXPLAINED_TO - EXPLAINED_FROM));
  out[o] = share * a0;
  out[o + 1] = share * a1;
  out[o + 2] = share * a2;
  out[o + 3] = share * (p - a0 * r - a1 * g - a2 * b) + (1 - share) * ownP;
  out[o + 4] = 1;
}

function confidence(p: number): number {
  const x = Math.max((LOW - p) / LOW, (p - HIGH) / (1 - HIGH), 0);
  return Math.max(x / ((1 / BIAS - 2) * (1 - x) + 1), CONFIDENCE_FLOOR);
}

function smoothStep(x: number): number {
  const t = Math.min(1, Math.max(0, x));
  return t * t * (3 - 2 * t);
}

/**
 * Sums over square windows that are cut off at the edges; `terms` values lie side by side for each pixel.
 *
 * Running sums make the time independent of the radius. They are kept in double, or their errors would add up.
 */
export function boxSum(values: Float32Array, width: number, height: number, terms: number, radius: number): Float32Array {
  const line = width * terms;
  const rows = new Float32Array(values.length);
  const total = new Float64Array(terms);
  for (let y = 0; y < height; y++) {
    const row = y * line;
    total.fill(0);
    for (let x = -radius; x < width; x++) {
      const enter = row + (x + radius) * terms;
      const leave = row + (x - radius - 1) * terms;
      if (x + radius < width) for (let k = 0; k < terms; k++) total[k] += values[enter + k];
      if (x - radius > 0) for (let k = 0; k < terms; k++) total[k] -= values[leave + k];
      if (x >= 0) rows.set(total, row + x * terms);
    }
  }
  const out = new Float32Array(values.length);
  const totals = new Float64Array(line);
  for (let y = -radius; y < height; y++) {
    const enter = (y + radius) * line;
    const leave = (y - radius - 1) * line;
    if (y + radius < height) for (let k = 0; k < line; k++) totals[k] += rows[enter + k];
    if (y - radius > 0) for (let k = 0; k < line; k++) totals[k] -= rows[leave + k];
    if (y >= 0) out.set(totals, y * line);
  }
  return out;
}
