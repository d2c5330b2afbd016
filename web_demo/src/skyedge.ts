/**
 * skyedge in the browser: `load` an artifact, `segment` images, get masks.
 *
 * Everything runs in a worker on this device. Nothing is sent anywhere.
 */
import type { Provider } from "./engine/backend";
import { SkyedgeError } from "./engine/errors";
import { detectFeatures, requireSimd } from "./engine/features";
import { type ProbabilityMap, toMask8 } from "./engine/probability";
import type { Methods, Reply, StageTimes } from "./engine/protocol";
import type { Planes } from "./engine/refine";
import type { ModelSpec } from "./engine/spec";

export { SkyedgeError } from "./engine/errors";
export type { ModelSpec, Planes, ProbabilityMap, StageTimes };

export type Source = ImageBitmap | VideoFrame | HTMLCanvasElement;

export interface LoadOptions {
  /** Folder of the interpreters' files, with a slash at its end; `runtime/` beside the page unless it is given. */
  runtimeUrl?: string;
  /** WebGPU works for ONNX files only, and must agree with the golden pair. */
  provider?: Provider;
  /** Unless it is given, one thread and several are measured, and the faster wins. */
  threads?: number;
}

/** The sky of one image. */
export class Mask {
  constructor(
    /** Of the image, in pixels. */
    readonly width: number,
    readonly height: number,
    /** Probability of sky at the network's own size; it covers the whole image. */
    readonly map: ProbabilityMap,
    /** The probability as a linear function of color, A . I + b, over the whole image; A is 0 without refinement. */
    readonly planes: Planes,
    readonly times: StageTimes,
  ) {}

  /** round(255 p) for every pixel of the image, row by row; the same as Python's mask without refinement. */
  toMask8(): Uint8Array<ArrayBuffer> {
    return toMask8(this.map, this.width, this.height);
  }
}

/** Fetches an artifact by the URL of its `model.json`, checks every byte of it, and tests it on its golden pair. */
export async function load(modelUrl: string, { runtimeUrl = "runtime/", provider = "wasm", threads }: LoadOptions = {}): Promise<Skyedge> {
  requireSimd(detectFeatures());
  const worker = new Worker(new URL("./engine/worker.ts", import.meta.url), { type: "module", name: "skyedge" });
  const calls = new Calls(worker);
  const absolute = (url: string): string => new URL(url, document.baseURI).href;
  try {
    const counts = threads === undefined ? null : [threads];
    return new Skyedge(calls, await calls.ask("open", { modelUrl: absolute(modelUrl), runtimeUrl: absolute(runtimeUrl), provider, threads: counts }));
  } catch (error) {
    worker.terminate();
    throw error;
  }
}

/** A network that is ready; made by `load`. */
export class Skyedge {
  readonly spec: ModelSpec;
  /** Interpreter and device, such as "LiteRT wasm relaxed-simd threads". */
  readonly runtime: string;
  readonly threads: number;
  /** Largest difference to the golden output, at most `spec.golden.atol`. */
  readonly goldenDifference: number;

  constructor(
    private readonly calls: Calls,
    { spec, runtime, threads, goldenDifference }: Methods["open"]["answer"],
  ) {
    this.spec = spec;
    this.runtime = runtime;
    this.threads = threads;
    this.goldenDifference = goldenDifference;
  }

  /** Finds the sky. Takes the bitmap or frame over, and closes it; a canvas stays as it is. */
  async segment(source: Source, { refine = false } = {}): Promise<Mask> {
    const owned = source instanceof HTMLCanvasElement ? await createImageBitmap(source) : source;
    const { width, height, map, planes, times } = await this.calls.ask("segment", { source: owned, refine }, [owned]);
    return new Mask(width, height, map, planes, times);
  }

  /** Times the network on an image of this size for at least so many runs and milliseconds. */
  bench(argument: Methods["bench"]["argument"]): Promise<Methods["bench"]["answer"]> {
    return this.calls.ask("bench", argument);
  }

  /** Ends the worker; requests under way fail. */
  close(): void {
    this.calls.end("the network was closed");
  }
}

/** Pairs the worker's replies with the promises that wait for them. */
class Calls {
  private next = 0;
  private readonly waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data: reply }: MessageEvent<Reply>) => {
      const call = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      if ("fault" in reply) call?.reject(new SkyedgeError(reply.fault, reply.message));
      else call?.resolve(reply.value as never);
    };
    worker.onerror = (event) => this.end(event.message || "the worker could not be started");
  }

  ask<K extends keyof Methods>(kind: K, argument: Methods[K]["argument"], transfer: Transferable[] = []): Promise<Methods[K]["answer"]> {
    return new Promise((resolve, reject) => {
      const id = this.next++;
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, kind, argument }, transfer);
    });
  }

  end(reason: string): void {
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(new SkyedgeError("runtime", reason));
    this.waiting.clear();
  }
}
