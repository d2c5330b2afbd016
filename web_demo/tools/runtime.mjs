#!/usr/bin/env node
/**
 * Writes the interpreters' files into a folder that your site serves: `npx skyedge-runtime public/runtime`.
 * WebAssembly is compressed here, for hosts that would not do it; the page decompresses it.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LITERT = { threaded: "threaded_internal", simd: "internal", compat: "compat_internal" };
const ORT = ["ort-wasm-simd-threaded", "ort-wasm-simd-threaded.asyncify"];

export function writeRuntime(folder) {
  mkdirSync(folder, { recursive: true });
  const litert = folderOf("@litertjs/core");
  for (const [name, file] of Object.entries(LITERT)) {
    for (const ending of ["js", "wasm"]) compress(join(litert, "wasm", `litert_wasm_${file}.${ending}`), join(folder, `litert-${name}.${ending}.gz`));
  }
  const ort = join(folderOf("onnxruntime-web"), "dist");
  for (const name of ORT) {
    copyFileSync(join(ort, `${name}.mjs`), join(folder, `${name}.mjs`));
    compress(join(ort, `${name}.wasm`), join(folder, `${name}.wasm.gz`));
  }
}

function folderOf(name) {
  const places = createRequire(import.meta.url).resolve.paths(name).map((place) => join(place, name));
  const found = places.find((place) => existsSync(place));
  if (!found) throw new Error(`got no package ${name}, expected it beside skyedge; run npm install`);
  return found;
}

/** A copy that is newer than the package is the package's. */
function compress(from, to) {
  const version = join(from, "..", "..", "package.json");
  if (existsSync(to) && statSync(to).mtimeMs > Math.max(statSync(from).ctimeMs, statSync(version).ctimeMs)) return;
  writeFileSync(to, gzipSync(readFileSync(from), { level: 9 }));
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (process.argv.length !== 3) {
    console.error("got no folder, expected one: npx skyedge-runtime public/runtime");
    process.exit(2);
  }
  writeRuntime(process.argv[2]);
}
