/** Keeps the camera running for some minutes and writes the memory of all of the browser's processes: `node soak.mjs JOB.json`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

const EVERY_MS = 10_000;

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { launch, serve, openPage } = await import(pathToFileURL(join(job.demo, "tools", "browser.mjs")).href);
const server = await serve();
const browser = await launch(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", `--use-file-for-fake-video-capture=${job.clip}`]);
const page = await openPage(await browser.newContext({ viewport: { width: 412, height: 915 } }), server.url);
const session = await browser.newBrowserCDPSession();
await page.click("#camera");
const samples = [];
const end = Date.now() + job.minutes * 60_000;
while (Date.now() < end) {
  await sleep(EVERY_MS);
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const frames = await page.evaluate(() => globalThis.skyedge.numbers.frames);
  // Of the page and its workers; the browser answers after its next collection of garbage, which takes up to a minute.
  const pageMib = await page.evaluate(async () => (await performance.measureUserAgentSpecificMemory()).bytes / 2 ** 20);
  samples.push({ frames, pageMib, mib: processInfo.reduce((sum, { id }) => sum + pssMib(id), 0) });
}
writeFileSync(join(job.folder, "soak.json"), JSON.stringify({ samples, errors: page.errors, status: await page.locator("#status").textContent() }));
process.exit(0);

/** Proportional set size: memory that processes share counts once. */
function pssMib(pid) {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1]) / 1024;
  } catch {
    return 0; // the process ended meanwhile
  }
}
