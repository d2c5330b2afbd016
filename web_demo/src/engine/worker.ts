/** The worker: opens one network and answers requests in the order in which they come. */
import { asSkyedgeError, SkyedgeError } from "./errors";
import { detectFeatures, threadCounts } from "./features";
import { fetchArtifact, Network } from "./network";
import { PixelReader, type Pixels } from "./pixels";
import type { Methods, Reply, Request } from "./protocol";
import { fitPlanes, plainPlanes } from "./refine";
import { PillowResizer } from "./resize";

const scope = self as unknown as DedicatedWorkerGlobalScope;
const reader = new PixelReader();
let opened: { network: Network; resizer: PillowResizer } | null = null;
let queue: Promise<void> = Promise.resolve();

const methods: { [K in keyof Methods]: (argument: Methods[K]["argument"]) => Promise<Methods[K]["answer"]> } = { open, segment, bench };

scope.onmessage = ({ data: request }: MessageEvent<Request>) => {
  queue = queue.then(() => answer(request));
};

async function answer({ id, kind, argument }: Request): Promise<void> {
  try {
    const value = await methods[kind](argument as never);
    send({ id, value }, "map" in value ? [value.map.data.buffer, value.planes.data.buffer] : []);
  } catch (error) {
    const { fault, message } = asSkyedgeError(error, "runtime");
    send({ id, fault, message });
  }
}

function send(reply: Reply, transfer: Transferable[] = []): void {
  scope.postMessage(reply, transfer);
}

async function open({ modelUrl, runtimeUrl, provider, threads }: Methods["open"]["argument"]): Promise<Methods["open"]["answer"]> {
  const network = await Network.open(await fetchArtifact(modelUrl), runtimeUrl, {
    provider,
    threads: threads ?? (provider === "wasm" ? threadCounts(detectFeatures()) : [1]),
  });
  opened = { network, resizer: new PillowResizer(network.height, network.width) };
  const { runtime, threads: used } = network.backend;
  return { spec: network.spec, runtime, threads: used, goldenDifference: network.goldenDifference };
}

async function segment({ source, refine }: Methods["segment"]["argument"]): Promise<Methods["segment"]["answer"]> {
  const start = performance.now();
  let pixels: Pixels;
  try {
    pixels = reader.read(source);
  } finally {
    source.close();
  }
  const decoded = performance.now();
  const { map, rgb, times } = await runNetwork(pixels);
  const before = performance.now();
  const planes = refine ? fitPlanes(rgb, map) : plainPlanes(map);
  const end = performance.now();
  const { width, height } = pixels;
  return { width, height, map, planes, times: { ...times, decode: decoded - start, refine: refine ? end - before : 0, total: end - start } };
}

async function runNetwork({ rgba, width, height }: Pixels) {
  if (opened === null) throw new SkyedgeError("runtime", "got an image before a model was opened, expected the other order");
  const { network, resizer } = opened;
  const start = performance.now();
  const rgb = resizer.resize(rgba, height, width);
  const resize = performance.now() - start;
  const { map, inferMs: infer } = await network.runTimed(rgb);
  return { map: { width: network.width, height: network.height, data: map }, rgb, times: { resize, infer } };
}

/** Times decoded pixels to probabilities at their own size, as `edge_runtime.benchmark` does, and the network alone. */
async function bench({ width, height, minRuns, minMs }: Methods["bench"]["argument"]): Promise<Methods["bench"]["answer"]> {
  const rgba = new Uint8ClampedArray(width * height * 4).map((_, i) => ((i * 7919) >> 5) & 255);
  const { toMask8 } = await import("./probability");
  const reply: Methods["bench"]["answer"] = { infer: [], endToEnd: [] };
  const begun = performance.now();
  while (reply.infer.length < minRuns || performance.now() - begun < minMs) {
    const start = performance.now();
    const { map, times } = await runNetwork({ rgba, width, height });
    toMask8(map, width, height);
    reply.endToEnd.push(performance.now() - start);
    reply.infer.push(times.infer);
  }
  return reply;
}
