/** Runs every scenario in chromium and writes what they found to found.json: `node run.mjs JOB.json`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const job = JSON.parse(readFileSync(process.argv[2], "utf8"));
const tools = await import(pathToFileURL(join(job.demo, "tools", "browser.mjs")).href);
const groups = await Promise.all(["pages", "images", "cameras"].map((name) => import(`./${name}.mjs`)));
const found = {};
for (const { flags, scenarios } of groups) {
  const browser = await tools.launch(flags(job));
  const server = await tools.serve();
  let opened = null;
  // Scenarios that need no page of their own share one: loading a network takes most of their time.
  const sharedPage = () => (opened ??= browser.newContext({ bypassCSP: true }).then((context) => tools.openPage(context, server.url)));
  for (const [name, scenario] of Object.entries(scenarios)) {
    const begun = Date.now();
    try {
      found[name] = await scenario({ ...job, ...tools, browser, sharedPage });
    } catch (error) {
      found[name] = { broke: String(error.stack ?? error) };
    }
    found[name].seconds = (Date.now() - begun) / 1000;
  }
  await browser.close();
  await server.close();
}
writeFileSync(join(job.folder, "found.json"), JSON.stringify(found));
process.exit(0); // helpers of the browser may linger
