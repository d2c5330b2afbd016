/** Files of an artifact and of the runtimes: fetched with a bound on their size, and checked. */
import { SkyedgeError } from "./errors";

/** Fetches `url`; throws where it is missing or longer than `maxBytes`, before more than that is kept. */
export async function fetchBytes(url: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const response = await get(url);
  const chunks: Uint8Array[] = [];
  let total = 0;
  const reader = bodyOf(response, url).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    total += value.length;
    if (total > maxBytes) {
      await reader.cancel();
      throw new SkyedgeError("download", `got more than ${maxBytes} bytes from ${url}, expected at most that; the artifact is damaged`);
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(total);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/** Fetches a file that the build compressed by gzip; hosts that decompress it themselves are fine too. */
export async function fetchGzip(url: string): Promise<Response> {
  const response = await get(url);
  const body = bodyOf(response, url);
  if (response.headers.get("content-encoding") === "gzip") return new Response(body);
  // The cast is for the type of the stream's chunks, on which the DOM's declarations disagree.
  return new Response(body.pipeThrough(new DecompressionStream("gzip") as ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>));
}

/** Throws unless `bytes` have this length and SHA-256. */
export async function checkBytes(bytes: Uint8Array<ArrayBuffer>, name: string, sha256: string, length: number): Promise<void> {
  if (bytes.length !== length) {
    throw new SkyedgeError("hash", `${name}: got ${bytes.length} bytes, expected ${length}; the file was damaged on its way, so reload the page`);
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (value) => value.toString(16).padStart(2, "0")).join("");
  if (hex !== sha256) {
    throw new SkyedgeError("hash", `${name}: got sha256 ${hex.slice(0, 12)}…, expected ${sha256.slice(0, 12)}…; the file is not the one that model.json names, so it is not run`);
  }
}

async function get(url: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new SkyedgeError("download", `cannot fetch ${url} (${String(error)}); check the connection and reload the page`);
  }
  if (!response.ok) throw new SkyedgeError("download", `got HTTP status ${response.status} for ${url}, expected the file; reload the page`);
  return response;
}

function bodyOf(response: Response, url: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (response.body === null) throw new SkyedgeError("download", `got an empty answer for ${url}, expected the file`);
  return response.body;
}
