/** A network that was fetched, checked and tested: RGB of its own size in, probabilities out. */
import type { Backend, Provider } from "./backend";
import { asSkyedgeError, SkyedgeError } from "./errors";
import { checkBytes, fetchBytes } from "./files";
import { parseNpy } from "./npy";
import { inputSize, type ModelSpec, parseSpec } from "./spec";
import { makeFeeder, type TensorData, toProbability } from "./tensors";

const MAX_SPEC_BYTES = 16 << 20; // as in Python
const MAX_MODEL_BYTES = 64 << 20;
const WARM_RUNS = 2;
const TIMED_RUNS = 7;

export interface Artifact {
  spec: ModelSpec;
  model: Uint8Array<ArrayBuffer>;
  golden: { input: Uint8Array; output: Float32Array };
}

/** Fetches an artifact and checks the spec, the model's size and SHA-256, and the golden pair's shape. */
export async function fetchArtifact(modelUrl: string): Promise<Artifact> {
  const spec = parseSpec(new TextDecoder().decode(await fetchBytes(modelUrl, MAX_SPEC_BYTES)));
  const entry = spec.files.model;
  if (entry.bytes > MAX_MODEL_BYTES) {
    throw new SkyedgeError("contract", `files.model.bytes: got ${entry.bytes}, expected at most ${MAX_MODEL_BYTES} in a browser`);
  }
  const [height, width] = inputSize(spec);
  const url = (name: string): string => new URL(name, modelUrl).href;
  const fetchGolden = async (name: string, bytes: number, shape: number[]) => {
    const array = parseNpy(await fetchBytes(url(name), bytes + 4096), name);
    if (array.shape.join() !== shape.join() || array.data.byteLength !== bytes) {
      throw new SkyedgeError("golden", `${name}: got ${array.shape.join(" x ")}, expected ${shape.join(" x ")}; export the artifact again`);
    }
    return array.data;
  };
  const [model, input, output] = await Promise.all([
    fetchBytes(url(entry.path), entry.bytes),
    fetchGolden(spec.golden.input, height * width * 3, [height, width, 3]),
    fetchGolden(spec.golden.output, height * width * 4, [height, width]),
  ]);
  await checkBytes(model, entry.path, entry.sha256, entry.bytes);
  return { spec, model, golden: { input: input as Uint8Array, output: output as Float32Array } };
}

export interface Choice {
  provider: Provider;
  threads: number[];
}

export class Network {
  readonly height: number;
  readonly width: number;
  private readonly feed: (rgb: Uint8Array) => TensorData;

  private constructor(
    readonly spec: ModelSpec,
    readonly backend: Backend,
    /** Largest difference to the golden output. */
    readonly goldenDifference: number,
  ) {
    [this.height, this.width] = inputSize(spec);
    this.feed = makeFeeder(spec);
  }

  /** Opens the artifact with each thread count, tests each against the golden pair, and keeps the fastest. */
  static async open(artifact: Artifact, runtimeUrl: string, { provider, threads }: Choice): Promise<Network> {
    let best: { network: Network; ms: number } | null = null;
    for (const count of threads) {
      const network = await Network.openOne(artifact, runtimeUrl, provider, count);
      const ms = threads.length > 1 ? await network.medianMs(artifact.golden.input) : 0;
      const loser = best === null || ms < best.ms ? best?.network : network;
      if (best === null || ms < best.ms) best = { network, ms };
      loser?.backend.close();
    }
    if (best === null) throw new SkyedgeError("runtime", "got no thread count, expected one or more");
    return best.network;
  }

  /** Takes (height, width, 3) RGB; returns (height, width) probabilities, the caller's to keep. */
  async run(rgb: Uint8Array): Promise<Float32Array<ArrayBuffer>> {
    return toProbability(this.spec, await this.backend.run(this.feed(rgb)));
  }

  /** Like `run`, for one call; tells how long the interpreter itself took. */
  async runTimed(rgb: Uint8Array): Promise<{ map: Float32Array<ArrayBuffer>; inferMs: number }> {
    const input = this.feed(rgb);
    const start = performance.now();
    const output = await this.backend.run(input);
    const inferMs = performance.now() - start;
    return { map: toProbability(this.spec, output), inferMs };
  }

  private static async openOne({ spec, model, golden }: Artifact, runtimeUrl: string, provider: Provider, threads: number): Promise<Network> {
    let backend: Backend;
    try {
      const options = { spec, model, runtimeUrl, provider, threads };
      backend =
        spec.format === "tflite"
          ? await (await import("./litert")).openLiteRt(options)
          : await (await import("./onnx")).openOnnx(options);
    } catch (error) {
      throw asSkyedgeError(error, "runtime");
    }
    const got = await new Network(spec, backend, 0).run(golden.input);
    const difference = golden.output.reduce((most, expected, i) => Math.max(most, Math.abs(expected - got[i])), 0);
    if (!(difference <= spec.golden.atol)) {
      backend.close();
      throw new SkyedgeError("golden", `${backend.runtime}: got masks up to ${difference.toFixed(3)} away from the golden output, expected at most ${spec.golden.atol}; this engine computes wrongly here, so take another`);
    }
    return new Network(spec, backend, difference);
  }

  private async medianMs(rgb: Uint8Array): Promise<number> {
    const times: number[] = [];
    for (let run = -WARM_RUNS; run < TIMED_RUNS; run++) {
      const { inferMs } = await this.runTimed(rgb);
      if (run >= 0) times.push(inferMs);
    }
    return times.sort((a, b) => a - b)[TIMED_RUNS >> 1];
  }
}
