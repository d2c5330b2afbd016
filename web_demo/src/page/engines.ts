/** The engines that the page can run, and the one in use. */
import { load, type Skyedge } from "../skyedge";

export interface Engine {
  id: string;
  label: string;
  model: string;
  provider: "wasm" | "webgpu";
  download: string;
}

// The first is the one to begin with: on every machine that was measured it was the fastest (docs/web.md).
export const ENGINES: readonly Engine[] = [
  { id: "litert", label: "LiteRT int8", model: "models/tflite-int8/model.json", provider: "wasm", download: "3 MB" },
  { id: "onnx-int8", label: "onnxruntime int8", model: "models/onnx-int8/model.json", provider: "wasm", download: "4 MB" },
  { id: "onnx-fp32", label: "onnxruntime fp32", model: "models/onnx-fp32/model.json", provider: "wasm", download: "5 MB" },
  { id: "webgpu", label: "onnxruntime WebGPU", model: "models/onnx-fp32/model.json", provider: "webgpu", download: "8 MB" },
];

export function engineById(id: string): Engine {
  return ENGINES.find((engine) => engine.id === id) ?? ENGINES[0];
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
    const next = await load(engine.model, { provider: engine.provider, ...(threads === undefined ? {} : { threads }) });
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
