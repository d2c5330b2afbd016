/**
 * `model.json`: the one contract that Python, C++ and this reader obey.
 *
 * No key has a default and an unknown key is refused, except inside `provenance` and `metrics`.
 */
import { SkyedgeError } from "./errors";

type Reader<T> = (value: unknown, key: string) => T;
type Read<R> = R extends Reader<infer T> ? T : never;

const text = textLike("a text that is not empty", (value) => value.length > 0);
const plainName = textLike("a plain file name inside the artifact", (value) => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(value));
const sha256 = textLike("64 lower-case hex digits", (value) => /^[0-9a-f]{64}$/.test(value));
const share = numberLike("a number from 0 to 1", (value) => value >= 0 && value <= 1);
const positive = numberLike("a number above 0", (value) => value > 0);
// Bounds of 8-bit images: numbers of the 0 to 1 scale and typing errors would run and give wrong masks.
const level = numberLike("a number of 8-bit images, 0 to 255", (value) => value >= 0 && value <= 255);
const deviation = numberLike("a number of 8-bit images, 1 to 255", (value) => value >= 1 && value <= 255);
const whole = numberLike("a whole number", Number.isInteger);
const count = numberLike("a whole number of at least 1", (value) => Number.isInteger(value) && value >= 1);
const anything: Reader<Record<string, unknown>> = (value, key) => asObject(value, key);
const dtype = oneOf("float32", "int8", "uint8");
/** real = (q - zero_point) * scale */
const quant = orNull(record({ scale: positive, zero_point: whole }));

const readSpec = record({
  schema_version: oneOf(1),
  name: plainName,
  arch: text,
  format: oneOf("onnx", "tflite"),
  files: record({ model: record({ path: plainName, sha256, bytes: count }) }),
  input: record({
    name: text,
    shape: list(count, 4),
    layout: oneOf("NHWC", "NCHW"),
    dtype,
    color: oneOf("RGB"),
    resize: oneOf("pillow_bilinear"),
    mean: list(level, 3),
    std: list(deviation, 3),
    quant,
  }),
  output: record({ name: text, meaning: oneOf("probability"), threshold: share, dtype, quant }),
  quantization: record({
    precision: oneOf("fp32", "fp16", "int8"),
    weights: text,
    activations: text,
    calibration: orNull(record({ sha256, count })),
  }),
  golden: record({ input: plainName, output: plainName, atol: share }),
  provenance: anything,
  metrics: anything,
  weights_license: text,
});

export type ModelSpec = Read<typeof readSpec>;
export type Dtype = Read<typeof dtype>;

/** Smallest and largest value of an integer tensor. */
export const LIMITS = { int8: [-128, 127], uint8: [0, 255] } as const;

/** Parses and checks the text of a model.json; throws `SkyedgeError` naming the key that is wrong. */
export function parseSpec(json: string): ModelSpec {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new SkyedgeError("contract", `got text that is not JSON (${String(error)}), expected a model.json`);
  }
  const spec = readSpec(value, "");
  const { shape, layout } = spec.input;
  if (shape[0] !== 1 || shape[layout === "NHWC" ? 3 : 1] !== 3) refuse("input.shape", shape, `one RGB image, ${layout}`);
  for (const key of ["input", "output"] as const) {
    const tensor = spec[key];
    if ((tensor.quant === null) !== (tensor.dtype === "float32")) {
      refuse(`${key}.quant`, tensor.quant, "null for float32, scale and zero_point for int8 and uint8");
    }
    if (tensor.quant === null || tensor.dtype === "float32") continue;
    const [low, high] = LIMITS[tensor.dtype];
    const { zero_point } = tensor.quant;
    if (zero_point < low || zero_point > high) refuse(`${key}.quant.zero_point`, zero_point, `${low} to ${high}`);
  }
  return spec;
}

/** [height, width] of the network's input. */
export function inputSize(spec: ModelSpec): [number, number] {
  const { shape, layout } = spec.input;
  return layout === "NHWC" ? [shape[1], shape[2]] : [shape[2], shape[3]];
}

function record<F extends Record<string, Reader<unknown>>>(fields: F): Reader<{ [K in keyof F]: Read<F[K]> }> {
  const expected = `expected exactly ${Object.keys(fields).join(", ")}`;
  return (value, key) => {
    const object = asObject(value, key);
    const path = (name: string): string => (key === "" ? name : `${key}.${name}`);
    const unknown = Object.keys(object).find((name) => !Object.hasOwn(fields, name));
    if (unknown !== undefined) throw new SkyedgeError("contract", `unknown key ${path(unknown)}; ${expected}`);
    const entries = Object.entries(fields).map(([name, read]) => {
      if (!Object.hasOwn(object, name)) throw new SkyedgeError("contract", `missing key ${path(name)}; ${expected}`);
      return [name, read(object[name], path(name))];
    });
    return Object.fromEntries(entries) as { [K in keyof F]: Read<F[K]> };
  };
}

function list<T>(item: Reader<T>, length: number): Reader<T[]> {
  return (value, key) => {
    if (!Array.isArray(value) || value.length !== length) refuse(key, value, `a list of ${length}`);
    return (value as unknown[]).map((each, index) => item(each, `${key}[${index}]`));
  };
}

function orNull<T>(reader: Reader<T>): Reader<T | null> {
  return (value, key) => (value === null ? null : reader(value, key));
}

function oneOf<const T extends string | number>(...choices: T[]): Reader<T> {
  return (value, key) => choices.find((choice) => choice === value) ?? refuse(key, value, `one of ${choices.join(", ")}`);
}

function textLike(expected: string, good: (value: string) => boolean): Reader<string> {
  return (value, key) => (typeof value === "string" && good(value) ? value : refuse(key, value, expected));
}

function numberLike(expected: string, good: (value: number) => boolean): Reader<number> {
  return (value, key) => (typeof value === "number" && Number.isFinite(value) && good(value) ? value : refuse(key, value, expected));
}

function asObject(value: unknown, key: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(key, value, "an object");
  return value as Record<string, unknown>;
}

function refuse(key: string, got: unknown, expected: string): never {
  const shown = (JSON.stringify(got) ?? String(got)).slice(0, 80);
  throw new SkyedgeError("contract", `${key || "the whole file"}: got ${shown}, expected ${expected}`);
}
