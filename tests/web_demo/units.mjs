/** Runs modules of the engine in Node on files that a test wrote: `node units.mjs JOB.json`; results go to files beside. */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const demo = process.argv[2];
const job = JSON.parse(readFileSync(process.argv[3], "utf8"));
const { createServer } = await import(pathToFileURL(createRequire(join(demo, "package.json")).resolve("vite")).href);
const vite = await createServer({ root: demo, configFile: false, server: { middlewareMode: true, hmr: false, ws: false }, appType: "custom", logLevel: "error" });
const load = (name) => vite.ssrLoadModule(`/src/engine/${name}.ts`);
const { PillowResizer } = await load("resize");
const { toMask8 } = await load("probability");
const { fitPlanes } = await load("refine");
const { parseSpec } = await load("spec");

const bytes = (path) => new Uint8Array(readFileSync(path));
const floats = (path) => new Float32Array(bytes(path).buffer);

for (const { rgba, height, width, outHeight, outWidth, out } of job.resizes ?? []) {
  writeFileSync(out, new PillowResizer(outHeight, outWidth).resize(bytes(rgba), height, width));
}
for (const { map, height, width, outHeight, outWidth, out } of job.masks ?? []) {
  writeFileSync(out, toMask8({ height, width, data: floats(map) }, outWidth, outHeight));
}
for (const { rgb, map, height, width, out } of job.fits ?? []) {
  const planes = fitPlanes(bytes(rgb), { height, width, data: floats(map) });
  writeFileSync(out, planes.data);
  writeFileSync(`${out}.json`, JSON.stringify([planes.height, planes.width]));
}
if (job.specs) {
  const said = job.specs.map((text) => {
    try {
      parseSpec(text);
      return null;
    } catch (error) {
      return error.message;
    }
  });
  writeFileSync(job.said, JSON.stringify(said));
}
await vite.close();
