/**
 * Measures the page in headless chromium: `node tools/bench.mjs --out FILE [--quick] [--engine ID]...`.
 *
 * Writes a result file of the schema of edge_runtime.benchmark, one row for each engine. What the page cannot know about
 * this computer (its CPU, its load) is filled in here.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { arch, cpus, loadavg, release, totalmem } from "node:os";
import { dirname, resolve } from "node:path";
import { launch, openPage, serve } from "./browser.mjs";

const words = process.argv.slice(2);
const valuesOf = (name) => words.flatMap((word, at) => (word === name ? [words[at + 1]] : []));
const out = resolve(valuesOf("--out")[0] ?? "results.json");
const engines = valuesOf("--engine").length > 0 ? valuesOf("--engine") : ["litert", "onnx-fp32"];
const quick = words.includes("--quick");

const before = loadavg();
const server = await serve();
const browser = await launch();
const page = await openPage(await browser.newContext(), server.url);
let results = null;
for (const id of engines) {
  console.error(`measuring ${id}${quick ? ", quick" : ""}`);
  await page.evaluate((engine) => globalThis.skyedge.use(engine), id);
  const one = await page.evaluate(async (isQuick) => globalThis.skyedge.measure(await globalThis.skyedge.network(), isQuick), quick);
  if (results === null) results = one;
  else {
    results.artifacts.push(...one.artifacts);
    results.rows.push(...one.rows);
  }
}
const version = browser.version();
await browser.close();
await server.close();

const [{ model }] = cpus();
results.machine = {
  ...results.machine,
  name: `${model.trim()}, chromium ${version.split(".")[0]} headless`,
  cpu: model.trim(),
  architecture: arch(),
  cores: cpus().length,
  memory_bytes: totalmem(),
  kernel: release(),
  tools: { ...results.machine.tools, browser: `chromium ${version}` },
};
results.load = { before, after: loadavg(), other_cores_busy: null };
if (Math.max(...before) > cpus().length / 2) {
  results.warnings.push(`The load was ${before[0].toFixed(1)} before the measurement on ${cpus().length} cores, so latencies may be too high.`);
}

mkdirSync(dirname(out), { recursive: true });
writeFileSync(`${out}.partial`, `${JSON.stringify(results, null, 1)}\n`);
renameSync(`${out}.partial`, out);
for (const { artifact, label, threads, infer, end_to_end } of results.rows) {
  console.log(`${artifact}  ${label}  ${threads} threads  infer ${infer.p50_ms.toFixed(2)} ms  end_to_end ${end_to_end.p50_ms.toFixed(2)} ms`);
}
process.exit(0); // helpers of the browser may linger
