/**
 * Serves dist/ with the headers of docs/web.md: `node tools/serve.mjs [--port N] [--lan]`.
 *
 * --lan listens on every interface by https, with a certificate that openssl signs here for a year.
 */
import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { networkInterfaces } from "node:os";
import { dirname, extname, join, normalize, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { createGzip } from "node:zlib";

const DEMO = dirname(dirname(fileURLToPath(import.meta.url)));
const TYPES = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
  ".json": "application/json", ".webmanifest": "application/manifest+json", ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp",
};
const COMPRESSED = /^(text|application\/(json|manifest)|image\/svg)/;
export const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** Returns a listener for requests of files under `root`; without `isolated` it sends no more than a plain host would. */
export function makeListener(root, { isolated = true } = {}) {
  return (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    let path = resolve(join(root, normalize(decodeURIComponent(pathname))));
    if (path !== root && !path.startsWith(root + sep)) path = "";
    if (existsSync(path) && statSync(path).isDirectory()) path = join(path, "index.html");
    if (!path || !existsSync(path)) {
      response.writeHead(404, { "Content-Type": "text/plain" }).end("not found\n");
      return;
    }
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    const gzip = COMPRESSED.test(type) && /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
    response.writeHead(200, { "Content-Type": type, "Cache-Control": "no-cache", ...(isolated ? ISOLATION : {}), ...(gzip ? { "Content-Encoding": "gzip" } : {}) });
    const file = createReadStream(path);
    (gzip ? file.pipe(createGzip()) : file).pipe(response);
  };
}

function certificate() {
  const folder = join(DEMO, "node_modules", ".skyedge-lan");
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
  if (!existsSync(cert)) {
    mkdirSync(folder, { recursive: true });
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", "/CN=skyedge", "-keyout", key, "-out", cert], { stdio: "ignore" });
  }
  return { key: readFileSync(key), cert: readFileSync(cert) };
}

function main(words) {
  const lan = words.includes("--lan");
  const port = Number(words[words.indexOf("--port") + 1] || 0) || 8080;
  const listener = makeListener(join(DEMO, "dist"));
  if (!lan) {
    createServer(listener).listen(port, "localhost", () => console.log(`http://localhost:${port}/   (Ctrl-C ends it)`));
    return;
  }
  createSecureServer(certificate(), listener).listen(port, () => {
    const addresses = Object.values(networkInterfaces()).flat().filter(({ family, internal }) => family === "IPv4" && !internal);
    for (const { address } of addresses) console.log(`https://${address}:${port}/`);
    console.log("Open it on a phone in the same network, and accept the certificate, which this computer signed itself.");
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
