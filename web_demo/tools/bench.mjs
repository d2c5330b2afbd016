/**
 * Measures the page in headless chromium: `node tools/bench.mjs --out FILE [--quick] [--engine ID]... [--camera CLIP]`.
 *
 * Writes a result file of the schema of edge_runtime.benchmark, one row for each engine. What the page cannot know about
 * this computer (its CPU, its load) is filled in here. --camera plays a .y4m clip to the page's camera, in the viewport of
 * a phone, and prints frames and CPU time.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { arch, cpus, loadavg, release, totalmem } from "node:os";
import { dirname, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { launch, openPage, serve } from "./browser.mjs";

const PHONE = { viewport: { width: 412, height: 915 } };
const CAMERA_SECONDS = 10;

const words = process.argv.slice(2);
const valuesOf = (name) => words.flatMap((word, at) => (word === name ? [words[at + 1]] : []));
const [out, clip] = ["--out", "--camera"].map((name) => valuesOf(name)[0]);
const quick = words.includes("--quick");

const server = await serve();
if (out) await measure(valuesOf("--engine").length > 0 ? valuesOf("--engine") : ["litert", "onnx-fp32"], resolve(out));
if (clip) await watchCamera(resolve(clip));
process.exit(0); // helpers of the browser may linger

async function measure(engines, path) {
  const before = loadavg();
  const browser = await launch();
  const page = await openPage(await browser.newContext(), server.url);
  let results = null;
  for (const id of engines) {
    console.error(`measuring ${id}${quick ? ", quick" : ""}`);
    await page.evaluate((engine) => globalThis.skyedge.use(engine), id);
    const one = await page.evaluate(async (isQuick) => globalThis.skyedge.measure(await globalThis.skyedge.network(), isQuick), quick);
    results ??= { ...one, artifacts: [], rows: [] };
    results.artifacts.push(...one.artifacts);
    results.rows.push(...one.rows);
  }
  const version = browser.version();
  await browser.close();
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
  if (before[0] > cpus().length / 2) {
    results.warnings.push(`The load was ${before[0].toFixed(1)} before the measurement on ${cpus().length} cores, so latencies may be too high.`);
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.partial`, `${JSON.stringify(results, null, 1)}\n`);
  renameSync(`${path}.partial`, path);
  for (const { artifact, label, threads, infer, end_to_end } of results.rows) {
    console.log(`${artifact}  ${label}  ${threads} threads  infer ${infer.p50_ms.toFixed(2)} ms  end_to_end ${end_to_end.p50_ms.toFixed(2)} ms`);
  }
}

async function watchCamera(path) {
  const browser = await launch(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-video-capture=${path}`]);
  const page = await openPage(await browser.newContext(PHONE), server.url);
  const session = await browser.newBrowserCDPSession();
  const cpuSeconds = async () => (await session.send("SystemInfo.getProcessInfo")).processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
  const frames = () => page.evaluate(() => globalThis.skyedge.numbers.frames);
  await page.click("#camera");
  await sleep(2000);
  const [firstFrame, firstCpu, start] = [await frames(), await cpuSeconds(), performance.now()];
  await sleep(CAMERA_SECONDS * 1000);
  const count = (await frames()) - firstFrame;
  const seconds = (performance.now() - start) / 1000;
  const cpuMs = (1000 * ((await cpuSeconds()) - firstCpu)) / count;
  console.log(`camera: ${(count / seconds).toFixed(1)} frames a second for ${seconds.toFixed(0)} s, ${cpuMs.toFixed(1)} CPU ms a frame in all processes, load ${loadavg()[0].toFixed(1)} on ${cpus().length} cores`);
  await browser.close();
}
