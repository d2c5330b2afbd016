/** onnxruntime-web: ONNX files in WebAssembly or on WebGPU. Its files are large, so they are fetched only when asked for. */
import type { InferenceSession } from "onnxruntime-web";
import type { Backend, OpenOptions } from "./backend";
import { SkyedgeError } from "./errors";
import { fetchGzip } from "./files";
import type { TensorData } from "./tensors";

const BUILDS = { wasm: "ort-wasm-simd-threaded", webgpu: "ort-wasm-simd-threaded.asyncify" } as const;

/** Opens an .onnx file; for WebGPU this throws where the browser has none. */
export async function openOnnx({ spec, model, runtimeUrl, provider, threads }: OpenOptions): Promise<Backend> {
  if (provider === "webgpu") await expectWebGpu();
  const ort = provider === "webgpu" ? await import("onnxruntime-web/webgpu") : await import("onnxruntime-web/wasm");
  const build = BUILDS[provider];
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { mjs: `${runtimeUrl}${build}.mjs` };
  ort.env.wasm.wasmBinary = await (await fetchGzip(`${runtimeUrl}${build}.wasm.gz`)).arrayBuffer();
  const session: InferenceSession = await ort.InferenceSession.create(model, { executionProviders: [provider] });
  const { name, shape, dtype } = spec.input;
  if (!session.inputNames.includes(name) || !session.outputNames.includes(spec.output.name)) {
    throw new SkyedgeError("contract", `the model file has ${session.inputNames.join()} and ${session.outputNames.join()}, model.json names ${name} and ${spec.output.name}; export the artifact again`);
  }
  return {
    runtime: `onnxruntime-web ${provider}`,
    threads: provider === "webgpu" ? 1 : threads,
    async run(tensor) {
      const input = new ort.Tensor(dtype, tensor, shape);
      const { [spec.output.name]: output } = await session.run({ [name]: input }, [spec.output.name]);
      return output.data as TensorData;
    },
    close() {
      void session.release();
    },
  };
}

async function expectWebGpu(): Promise<void> {
  const adapter = "gpu" in navigator ? await (navigator.gpu as { requestAdapter(): Promise<unknown> }).requestAdapter() : null;
  if (adapter === null) {
    throw new SkyedgeError("unsupported", "got a browser without a WebGPU adapter, expected one; the WebAssembly engine works everywhere");
  }
}
