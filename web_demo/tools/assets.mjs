/**
 * Puts into public/ what the page serves beside its own code: artifacts from models/, and the interpreters' files.
 * WebAssembly is compressed here, for hosts that would not do it; the page decompresses it.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const demo = dirname(dirname(fileURLToPath(import.meta.url)));
const packages = join(demo, "node_modules");
const to = join(demo, "public");
const network = join(dirname(demo), "models", "unet_lite_s");

const LITERT = { threaded: "threaded_internal", simd: "internal", compat: "compat_internal" };
const ORT = ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify"];

rmSync(join(to, "models"), { recursive: true, force: true });
for (const kind of ["tflite-int8", "onnx-int8", "onnx-fp32"]) {
  const spec = JSON.parse(readFileSync(join(network, kind, "model.json"), "utf8"));
  const files = ["model.json", spec.golden.input, spec.golden.output, ...Object.values(spec.files).map(({ path }) => path)];
  mkdirSync(join(to, "models", kind), { recursive: true });
  for (const name of files) copyFileSync(join(network, kind, name), join(to, "models", kind, name));
}

const runtime = join(to, "runtime");
mkdirSync(runtime, { recursive: true });
for (const [name, file] of Object.entries(LITERT)) {
  for (const ending of ["js", "wasm"]) compress(`@litertjs/core/wasm/litert_wasm_${file}.${ending}`, `litert-${name}.${ending}`);
}
for (const name of ORT) {
  copyFileSync(join(packages, "onnxruntime-web/dist", `${name}.mjs`), join(runtime, `${name}.mjs`));
  compress(`onnxruntime-web/dist/${name}.wasm`, `${name}.wasm`);
}

function compress(from, name) {
  const target = join(runtime, `${name}.gz`);
  // The lock file pins the packages, so a copy that is newer than they are is theirs.
  if (existsSync(target) && statSync(target).mtimeMs > statSync(join(packages, ".package-lock.json")).mtimeMs) return;
  writeFileSync(target, gzipSync(readFileSync(join(packages, from)), { level: 9 }));
}
