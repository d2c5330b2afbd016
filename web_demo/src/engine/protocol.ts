/** Messages between the page and the worker that holds the network. */
import type { Provider } from "./backend";
import type { Fault } from "./errors";
import type { Planes } from "./refine";

export interface OpenRequest {
  kind: "open";
  modelUrl: string;
  runtimeUrl: string;
  provider: Provider;
  threads: number[] | null;
}

export interface SegmentRequest {
  kind: "segment";
  source: ImageBitmap | VideoFrame;
  refine: boolean;
}

export interface BenchRequest {
  kind: "bench";
  width: number;
  height: number;
  minRuns: number;
  minMs: number;
}

export type Request = (OpenRequest | SegmentRequest | BenchRequest) & { id: number };

/** Milliseconds; `refine` is 0 where it was not asked for. */
export interface StageTimes {
  decode: number;
  resize: number;
  infer: number;
  refine: number;
  total: number;
}

export interface OpenReply {
  spec: import("./spec").ModelSpec;
  runtime: string;
  threads: number;
  goldenDifference: number;
}

export interface SegmentReply {
  width: number;
  height: number;
  map: { width: number; height: number; data: Float32Array<ArrayBuffer> };
  planes: Planes;
  times: StageTimes;
}

/** Milliseconds of every timed run. */
export interface BenchReply {
  infer: number[];
  endToEnd: number[];
}

export type Reply = { id: number; value: OpenReply | SegmentReply | BenchReply } | { id: number; fault: Fault; message: string };
