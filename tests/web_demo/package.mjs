/** Opens an app of others in chromium and writes what it found: `node package.mjs DEMO DIST FOUND.json`. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [demo, dist, to] = process.argv.slice(2);
const tools = (name) => import(pathToFileURL(join(demo, "tools", name)).href);
const server = createServer((await tools("serve.mjs")).makeListener(dist));
await new Promise((done) => server.listen(0, "localhost", done));
const page = await (await (await tools("browser.mjs")).launch()).newPage();
page.on("console", (message) => console.error(message.text()));
page.on("pageerror", (error) => console.error(String(error)));
await page.goto(`http://localhost:${server.address().port}/`);
await page.waitForFunction(() => globalThis.found, null, { timeout: 240_000 });
writeFileSync(to, JSON.stringify(await page.evaluate(() => globalThis.found)));
process.exit(0); // helpers of the browser may linger
