/** Puts into public/ what the page serves beside its own code: artifacts from models/, photographs, and the interpreters' files. */
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeRuntime } from "./runtime.mjs";

const demo = dirname(dirname(fileURLToPath(import.meta.url)));
const to = join(demo, "public");
const network = join(dirname(demo), "models", "unet_lite_s");

rmSync(join(to, "models"), { recursive: true, force: true });
for (const kind of ["tflite-int8", "onnx-int8", "onnx-fp32"]) {
  const spec = JSON.parse(readFileSync(join(network, kind, "model.json"), "utf8"));
  const files = ["model.json", spec.golden.input, spec.golden.output, ...Object.values(spec.files).map(({ path }) => path)];
  mkdirSync(join(to, "models", kind), { recursive: true });
  for (const name of files) copyFileSync(join(network, kind, name), join(to, "models", kind, name));
}
cpSync(join(dirname(demo), "docs", "photos"), join(to, "photos"), { recursive: true, filter: (path) => !path.endsWith(".md") });
writeRuntime(join(to, "runtime"));
