/** What this browser can run, found by tiny WebAssembly modules that use the feature in question. */

import { SkyedgeError } from "./errors";

export interface Features {
  simd: boolean;
  relaxedSimd: boolean;
  /** Shared memory, which browsers give to pages that are isolated from others (docs/web.md). */
  threads: boolean;
  webgpu: boolean;
  cores: number;
}

// (func (result v128) i32.const 0 i8x16.splat i8x16.popcnt)
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
// (func (result v128) i32.const 1 i8x16.splat i32.const 2 i8x16.splat i8x16.relaxed_swizzle)
const RELAXED_SIMD = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
];

export function detectFeatures(): Features {
  const isolated = typeof SharedArrayBuffer !== "undefined" && globalThis.crossOriginIsolated === true;
  return {
    simd: validates(SIMD),
    relaxedSimd: validates(RELAXED_SIMD),
    threads: isolated,
    webgpu: "gpu" in navigator,
    cores: navigator.hardwareConcurrency || 1,
  };
}

/** Throws where no interpreter would run. */
export function requireSimd(features: Features): void {
  if (features.simd) return;
  throw new SkyedgeError("unsupported", "got a browser without WebAssembly SIMD, expected Chrome 91, Firefox 89, Safari 16.4 or later; update it");
}

/** Thread counts worth measuring: one, and as many as there are cores up to four. */
export function threadCounts(features: Features): number[] {
  const most = Math.min(4, features.cores);
  return features.threads && most > 1 ? [most, 1] : [1];
}

function validates(module: number[]): boolean {
  return typeof WebAssembly === "object" && WebAssembly.validate(new Uint8Array(module));
}
