/** Measures the engine in use by the benchmark's rule, as a result file that `skyedge.report` reads. */
import { detectFeatures } from "../engine/features";
import type { Skyedge } from "../skyedge";
import { describeDevice } from "./device";

export const FULL = { turns: 10, min_runs: 100, min_seconds: 10 };
export const QUICK = { turns: 4, min_runs: 20, min_seconds: 0.4 };
const FRAME = { height: 480, width: 640, content: "noise" };

/** Returns the result file as an object; `onTurn` hears of the share that is done, 0..1. */
export async function measure(network: Skyedge, quick: boolean, onTurn: (share: number) => void = () => {}): Promise<object> {
  const rule = quick ? QUICK : FULL;
  const infer: number[] = [];
  const endToEnd: number[] = [];
  for (let turn = 0; turn < rule.turns; turn++) {
    const slice = { width: FRAME.width, height: FRAME.height, minRuns: Math.ceil(rule.min_runs / rule.turns), minMs: (1000 * rule.min_seconds) / rule.turns };
    // infer is a part of each end_to_end run, so its seconds are fewer: the slice goes on until they are enough.
    let inferMs = 0;
    do {
      const reply = await network.bench(slice);
      infer.push(...reply.infer);
      endToEnd.push(...reply.endToEnd);
      inferMs += reply.infer.reduce((sum, ms) => sum + ms, 0);
    } while (inferMs < slice.minMs);
    onTurn((turn + 1) / rule.turns);
  }
  return resultFile(network, rule, quick, infer, endToEnd);
}

async function resultFile({ spec, runtime, threads }: Skyedge, rule: typeof FULL, quick: boolean, infer: number[], endToEnd: number[]): Promise<object> {
  const device = await describeDevice();
  const { precision } = spec.quantization;
  const [height, width] = spec.input.layout === "NHWC" ? spec.input.shape.slice(1, 3) : spec.input.shape.slice(2);
  const file = spec.files.model;
  return {
    schema_version: 2,
    created_utc: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    quick,
    rule,
    machine: {
      name: `${device.name}, ${device.browser}`,
      cpu: "unknown: browsers do not tell",
      cpu_flags: [],
      instruction_set: detectFeatures().relaxedSimd ? "WebAssembly relaxed SIMD" : "WebAssembly SIMD",
      architecture: device.architecture,
      cores: navigator.hardwareConcurrency || 1,
      governor: null,
      max_mhz: null,
      virtual: false,
      memory_bytes: null,
      os: device.os,
      kernel: "unknown",
      gpu: null,
      tools: { browser: device.browser, runtime },
    },
    load: { before: null, after: null, other_cores_busy: null },
    warnings: ["Measured by a web page: clocks of browsers are coarse, and what else the device did is not known."],
    data: null,
    frame: FRAME,
    reference: null,
    artifacts: [
      {
        key: spec.name,
        name: spec.name,
        arch: spec.arch,
        format: spec.format,
        precision,
        folder: `models/${spec.arch}/${spec.format}-${precision}`,
        sha256: file.sha256,
        size_bytes: file.bytes,
        input_height: height,
        input_width: width,
        macs: wholeOrNull(spec.provenance.macs),
        parameters: wholeOrNull(spec.provenance.parameters),
        weights_license: spec.weights_license,
        memory: null,
        accuracy: null,
      },
    ],
    rows: [
      { artifact: spec.name, label: `${runtime} ${precision}, browser`, runtime, device: "browser", threads, infer: timing(infer), end_to_end: timing(endToEnd) },
    ],
  };
}

function timing(ms: number[]): object {
  const samples_us = ms.map((value) => Math.round(value * 1000));
  const sorted = [...samples_us].sort((a, b) => a - b);
  const percentile = (share: number): number => {
    const at = share * (sorted.length - 1);
    const low = Math.floor(at);
    return Math.round(10 * (sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]))) / 10000;
  };
  const seconds = Math.round(ms.reduce((sum, value) => sum + value, 0)) / 1000;
  return { p50_ms: percentile(0.5), p90_ms: percentile(0.9), p95_ms: percentile(0.95), runs: ms.length, seconds, cores_used: null, samples_us };
}

function wholeOrNull(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) ? value : null;
}
