/** The built page in Debian's chromium: what the benchmark and the tests share. */
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { makeListener } from "./serve.mjs";

export const DIST = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist");
const PATIENCE_MS = 120_000; // a busy computer is slow
const PATHS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export function launch(flags = []) {
  const executablePath = PATHS.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("got no chromium, expected one: sudo apt-get install chromium, or name it in CHROMIUM");
  return chromium.launch({ executablePath, args: ["--no-sandbox", ...flags] });
}

/** Serves dist/ on a free port and keeps count of requests and bytes; `spoil` may change or refuse single files. */
export async function serve({ isolated = true, spoil = () => null } = {}) {
  const files = makeListener(DIST, { isolated });
  const traffic = { requests: [], sockets: new Set() };
  const server = createServer((request, response) => {
    traffic.requests.push(`${request.method} ${request.url}`);
    traffic.sockets.add(request.socket);
    const other = spoil(request.url);
    if (other === null) files(request, response);
    else response.writeHead(200, { "Content-Type": "application/octet-stream" }).end(other);
  });
  await new Promise((done) => server.listen(0, "localhost", done));
  return {
    url: `http://localhost:${server.address().port}/`,
    requests: traffic.requests,
    bytesSent: () => [...traffic.sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0),
    close: () => new Promise((done) => {
      server.close(done);
      server.closeAllConnections();
    }),
  };
}

/** Opens the page and waits until it is ready, or until it said why it is not. */
export async function openPage(context, url) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  await page.goto(url);
  await ready(page);
  return page;
}

export async function ready(page) {
  await page.waitForFunction(() => document.body.dataset.ready, null, { timeout: PATIENCE_MS });
  return page.evaluate(() => document.body.dataset.ready);
}
