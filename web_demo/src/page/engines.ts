/** The engines that the page can run: which there are, which one to take, and how fast each is here. */
import { load, type Skyedge } from "../skyedge";

export interface Engine {
  id: string;
  label: string;
  model: string;
  provider: "wasm" | "webgpu";
  download: string;
}

// The first is what the first visit loads: on every machine that was measured it was the fastest (docs/web.md).
export const ENGINES: readonly Engine[] = [
  { id: "litert", label: "LiteRT int8", model: "models/tflite-int8/model.json", provider: "wasm", download: "3 MB" },
  { id: "onnx-int8", label: "onnxruntime int8", model: "models/onnx-int8/model.json", provider: "wasm", download: "4 MB" },
  { id: "onnx-fp32", label: "onnxruntime fp32", model: "models/onnx-fp32/model.json", provider: "wasm", download: "5 MB" },
  { id: "webgpu", label: "onnxruntime WebGPU", model: "models/onnx-fp32/model.json", provider: "webgpu", download: "8 MB" },
];

const CHOSEN = "skyedge.engine";
const TRYING = "skyedge.trying"; // a WebGPU driver can take the whole tab down: then the next visit knows who did it
const SLICE = { width: 640, height: 480, minRuns: 10, minMs: 300 };

export function engineById(id: string): Engine {
  return ENGINES.find((engine) => engine.id === id) ?? ENGINES[0];
}

export function rememberedEngine(): Engine {
  if (localStorage.getItem(TRYING) !== null) {
    localStorage.removeItem(TRYING);
    localStorage.removeItem(CHOSEN);
  }
  return engineById(localStorage.getItem(CHOSEN) ?? "");
}

async function openEngine(engine: Engine, threads?: number): Promise<Skyedge> {
  if (engine.provider === "webgpu") localStorage.setItem(TRYING, engine.id);
  try {
    return await load(engine.model, { provider: engine.provider, ...(threads === undefined ? {} : { threads }) });
  } finally {
    localStorage.removeItem(TRYING);
  }
}

/** The network in use. Whoever asks before there is one waits for it. */
export class NetworkSlot {
  engine: Engine = ENGINES[0];
  private current: Skyedge | null = null;
  private readonly first: Promise<Skyedge>;
  private settle: { resolve: (network: Skyedge) => void; reject: (error: unknown) => void } = { resolve: () => {}, reject: () => {} };

  constructor() {
    this.first = new Promise((resolve, reject) => (this.settle = { resolve, reject }));
    this.first.catch(() => {}); // whoever waits hears of it
  }

  ready(): Promise<Skyedge> {
    return this.current === null ? this.first : Promise.resolve(this.current);
  }

  /** Opens an engine and closes the one before; where this throws, the one before stays. */
  async use(engine: Engine, threads?: number): Promise<Skyedge> {
    const next = await openEngine(engine, threads);
    this.current?.close();
    this.current = next;
    this.engine = engine;
    this.settle.resolve(next);
    return next;
  }

  /** No engine works here. */
  fail(error: unknown): void {
    this.settle.reject(error);
  }
}

/** Such as "LiteRT wasm relaxed-simd threads, 2 threads". */
export function describeNetwork({ runtime, threads }: Skyedge): string {
  return `${runtime}, ${threads} thread${threads > 1 ? "s" : ""}`;
}

export function rememberEngine(engine: Engine): void {
  localStorage.setItem(CHOSEN, engine.id);
}

export interface Comparison {
  engine: Engine;
  /** Median of the network alone; null where the engine does not work here, as `note` tells. */
  ms: number | null;
  note: string;
}

export function describeComparison({ engine, ms, note }: Comparison): string {
  return ms === null ? `${engine.label}: not here (${note})` : `${engine.label}: ${ms.toFixed(1)} ms (${note})`;
}

/** Opens every engine in turn and times it; `onResult` hears of each at once. The fastest comes first. */
export async function compareEngines(onResult: (result: Comparison) => void): Promise<Comparison[]> {
  const results: Comparison[] = [];
  for (const engine of ENGINES) {
    let result: Comparison;
    try {
      const network = await openEngine(engine);
      try {
        const { infer } = await network.bench(SLICE);
        result = { engine, ms: infer.sort((a, b) => a - b)[infer.length >> 1], note: describeNetwork(network) };
      } finally {
        network.close();
      }
    } catch (error) {
      result = { engine, ms: null, note: error instanceof Error ? error.message : String(error) };
    }
    results.push(result);
    onResult(result);
  }
  return results.sort((a, b) => (a.ms ?? Infinity) - (b.ms ?? Infinity));
}
