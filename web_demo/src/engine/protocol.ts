/** What the page asks of the worker that holds the network: each method with its argument and its answer. */
import type { Provider } from "./backend";
import type { Fault } from "./errors";
import type { ProbabilityMap } from "./probability";
import type { Planes } from "./refine";
import type { ModelSpec } from "./spec";

/** Milliseconds; `refine` is 0 where it was not asked for. */
export interface StageTimes {
  decode: number;
  resize: number;
  infer: number;
  refine: number;
  total: number;
}

export interface Methods {
  open: {
    argument: { modelUrl: string; runtimeUrl: string; provider: Provider; threads: number[] | null };
    answer: { spec: ModelSpec; runtime: string; threads: number; goldenDifference: number };
  };
  segment: {
    argument: { source: ImageBitmap | VideoFrame; refine: boolean };
    answer: { width: number; height: number; map: ProbabilityMap; planes: Planes; times: StageTimes };
  };
  /** Milliseconds of every timed run, on an image of this size, for at least so many runs and milliseconds. */
  bench: {
    argument: { width: number; height: number; minRuns: number; minMs: number };
    answer: { infer: number[]; endToEnd: number[] };
  };
}

export type Request = { [K in keyof Methods]: { id: number; kind: K; argument: Methods[K]["argument"] } }[keyof Methods];
export type Reply = { id: number; value: Methods[keyof Methods]["answer"] } | { id: number; fault: Fault; message: string };
