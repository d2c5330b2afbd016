/**
 * LiteRT (TensorFlow Lite) in WebAssembly, from the files of `@litertjs/core`.
 *
 * The package's own class takes float32, int32 and uint8 tensors only. Full-integer networks want int8, so this file
 * calls the module underneath, which knows every type.
 */
import type { LiteRt } from "@litertjs/core";
import type { Backend, OpenOptions } from "./backend";
import { SkyedgeError } from "./errors";
import { detectFeatures, type Features } from "./features";
import { fetchGzip } from "./files";
import type { Dtype } from "./spec";
import { ARRAYS, type TensorData } from "./tensors";

type Wasm = LiteRt["liteRtWasm"];
type Variant = "threaded" | "simd" | "compat";
type Factory = (options: object) => Promise<Wasm>;

const ELEMENT: Record<number, Dtype> = { 1: "float32", 3: "uint8", 9: "int8" }; // LiteRT's numbers of the types
const LABELS: Record<Variant, string> = { threaded: "relaxed-simd threads", simd: "relaxed-simd", compat: "simd" };

// One module a worker: it is compiled once, whatever number of models is opened.
let loaded: Promise<{ wasm: Wasm; environment: ReturnType<Wasm["LiteRtEnvironment"]["create"]>; variant: Variant }> | null = null;

/** Opens a .tflite file on the CPU; `threads` counts where the browser has shared memory. */
export async function openLiteRt({ spec, model, runtimeUrl, threads }: OpenOptions): Promise<Backend> {
  loaded ??= loadModule(runtimeUrl, chooseVariant(detectFeatures()));
  const { wasm, environment, variant } = await loaded;
  const used = variant === "threaded" ? threads : 1;
  const address = wasm._malloc(model.length);
  wasm.HEAPU8.set(model, address);
  const graph = wasm.loadModel(environment, address, model.length);
  // The module reads more of the options than its types tell.
  const options = { environment, accelerator: "wasm", cpuOptions: { numThreads: used }, gpuOptions: {}, webNNOptions: {} } as const;
  const compiled = await wasm.compileModel(environment, graph, options);
  const inputType = graph.getInputTensorType(0, 0);
  expectType("input", inputType.elementType().value, spec.input.dtype);
  const input = wasm.LiteRtTensorBuffer.createManaged(environment, wasm.LiteRtTensorBufferType.HOST_MEMORY, inputType, inputType.bytes());
  inputType.delete();
  const outputType = graph.getOutputTensorType(0, 0);
  expectType("output", outputType.elementType().value, spec.output.dtype);
  outputType.delete();
  const { READ, WRITE } = wasm.LiteRtTensorBufferLockMode;

  return {
    runtime: `LiteRT wasm ${LABELS[variant]}`,
    threads: used,
    async run(tensor: TensorData) {
      const to = input.lock(WRITE);
      wasm.HEAPU8.set(new Uint8Array(tensor.buffer), to);
      input.unlock();
      const outputs = await compiled.run(0, [input]);
      const from = outputs[0].lock(READ);
      const bytes = wasm.HEAPU8.slice(from, from + outputs[0].packedSize());
      outputs[0].unlock();
      for (const output of outputs) output.delete();
      return new ARRAYS[spec.output.dtype](bytes.buffer);
    },
    close() {
      input.delete();
      compiled.delete();
      graph.delete();
      wasm._free(address);
    },
  };
}

/** The build names the files after the variants. */
function chooseVariant(features: Features): Variant {
  if (!features.relaxedSimd) return "compat";
  return features.threads ? "threaded" : "simd";
}

async function loadModule(runtimeUrl: string, variant: Variant) {
  const base = `${runtimeUrl}litert-${variant}`;
  const [script, binary] = await Promise.all([fetchGzip(`${base}.js.gz`), fetchGzip(`${base}.wasm.gz`)]);
  const [source, wasmBinary] = await Promise.all([script.text(), binary.arrayBuffer()]);
  const classic = new Blob([source], { type: "text/javascript" });
  // Emscripten's script defines a global of a classic script; as a module it must say what it exports.
  const module = URL.createObjectURL(new Blob([source, "\nexport default ModuleFactory;"], { type: "text/javascript" }));
  try {
    const { default: factory } = (await import(/* @vite-ignore */ module)) as { default: Factory };
    const wasm = await factory({ wasmBinary, mainScriptUrlOrBlob: classic, print: () => {}, printErr: () => {} });
    return { wasm, environment: wasm.LiteRtEnvironment.create(null), variant };
  } finally {
    URL.revokeObjectURL(module);
  }
}

function expectType(tensor: string, got: number, expected: Dtype): void {
  if (ELEMENT[got] !== expected) {
    throw new SkyedgeError("contract", `${tensor}.dtype: the model file has ${ELEMENT[got] ?? `type ${got}`}, model.json says ${expected}; export the artifact again`);
  }
}
