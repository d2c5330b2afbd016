/** What an interpreter does for the engine; `litert.ts` and `onnx.ts` are the two. */
import type { ModelSpec } from "./spec";
import type { TensorData } from "./tensors";

export interface Backend {
  /** Interpreter and device, such as "LiteRT wasm relaxed-simd". */
  readonly runtime: string;
  readonly threads: number;
  /** Runs the network once; the output is the caller's to keep. */
  run(input: TensorData): Promise<TensorData>;
  close(): void;
}

export type Provider = "wasm" | "webgpu";

/** Everything a backend needs to open a model; `runtimeUrl` ends with a slash. */
export interface OpenOptions {
  spec: ModelSpec;
  model: Uint8Array<ArrayBuffer>;
  runtimeUrl: string;
  provider: Provider;
  threads: number;
}
