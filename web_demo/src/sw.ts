/** The service worker: keeps everything that the page fetched, and adds the headers that give it shared memory. */
export {};

const scope = self as unknown as ServiceWorkerGlobalScope;
// The build replaces both: the files of the page itself, and a hash over everything that it serves.
const SHELL = JSON.parse("__SHELL__") as string[];
const CACHE = "skyedge-__VERSION__";

const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

scope.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => scope.skipWaiting()));
});

scope.addEventListener("activate", (event) => {
  event.waitUntil(dropOldCaches().then(() => scope.clients.claim()));
});

scope.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && new URL(request.url).origin === scope.location.origin) event.respondWith(answer(request));
});

/** The copy that was kept, else the network, of which a copy is kept. */
async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const options = { ignoreSearch: request.mode === "navigate", ignoreVary: true };
  const kept = await cache.match(request, options);
  if (kept) return isolate(kept);
  const response = await fetch(request);
  if (response.status === 200) await cache.put(request, response.clone());
  return isolate(response);
}

function isolate(response: Response): Response {
  if (response.type === "opaque" || response.type === "opaqueredirect" || response.type === "error") return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ISOLATION)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

async function dropOldCaches(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith("skyedge-") && name !== CACHE).map((name) => caches.delete(name)));
}
