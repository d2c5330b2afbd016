/**
 * `model.json`: the one contract that Python, C++ and this reader obey.
 *
 * No key has a default and an unknown key is refused, except inside `provenance` and `metrics`.
 */
import { SkyedgeError } from "./errors";

export interface FileEntry {
  path: string;
  sha256: string;
  bytes: number;
}

/** real = (q - zero_point) * scale */
export interface Quant {
  scale: number;
  zero_point: number;
}

export type Dtype = "float32" | "int8";

export interface InputSpec {
  name: string;
  shape: number[];
  layout: "NHWC" | "NCHW";
  dtype: Dtype;
  color: "RGB";
  resize: "pillow_bilinear";
  mean: number[];
  std: number[];
  quant: Quant | null;
}

export interface OutputSpec {
  name: string;
  meaning: "probability";
  threshold: number;
  dtype: Dtype;
  quant: Quant | null;
}

export interface ModelSpec {
  schema_version: 1;
  name: string;
  arch: string;
  format: "onnx" | "tflite";
  files: { model: FileEntry };
  input: InputSpec;
  output: OutputSpec;
  quantization: {
    precision: "fp32" | "fp16" | "int8";
    weights: string;
    activations: string;
    calibration: { sha256: string; count: number } | null;
  };
  golden: { input: string; output: string; atol: number };
  provenance: Record<string, unknown>;
  metrics: Record<string, unknown>;
  weights_license: string;
}

type Reader<T> = (value: unknown, key: string) => T;

/** Parses and checks the text of a model.json; throws `SkyedgeError` naming the key that is wrong. */
export function parseSpec(json: string): ModelSpec {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new SkyedgeError("contract", `got text that is not JSON (${String(error)}), expected a model.json`);
  }
  const spec = readSpec(value, "");
  checkTensors(spec.input, spec.output);
  return spec;
}

/** [height, width] of the network's input. */
export function inputSize(spec: ModelSpec): [number, number] {
  const { shape, layout } = spec.input;
  return layout === "NHWC" ? [shape[1], shape[2]] : [shape[2], shape[3]];
}

const text = textLike("a text that is not empty", (value) => value.length > 0);
const plainName = textLike("a plain file name inside the artifact", (value) => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(value));
const sha256 = textLike("64 lower-case hex digits", (value) => /^[0-9a-f]{64}$/.test(value));
const share = numberLike("a number from 0 to 1", (value) => value >= 0 && value <= 1);
const positive = numberLike("a number above 0", (value) => value > 0);
const finite = numberLike("a finite number", () => true);
const count = numberLike("a whole number of at least 1", (value) => Number.isInteger(value) && value >= 1);
const byte = numberLike("a whole number from -128 to 127", (value) => Number.isInteger(value) && value >= -128 && value <= 127);
const anything: Reader<Record<string, unknown>> = (value, key) => asObject(value, key);

const quant = record<Quant>({ scale: positive, zero_point: byte });
const fileEntry = record<FileEntry>({ path: plainName, sha256, bytes: count });

const readSpec = record<ModelSpec>({
  schema_version: oneOf(1),
  name: plainName,
  arch: text,
  format: oneOf("onnx", "tflite"),
  files: record<ModelSpec["files"]>({ model: fileEntry }),
  input: record<InputSpec>({
    name: text,
    shape: list(count, 4),
    layout: oneOf("NHWC", "NCHW"),
    dtype: oneOf("float32", "int8"),
    color: oneOf("RGB"),
    resize: oneOf("pillow_bilinear"),
    mean: list(finite, 3),
    std: list(positive, 3),
    quant: orNull(quant),
  }),
  output: record<OutputSpec>({
    name: text,
    meaning: oneOf("probability"),
    threshold: share,
    dtype: oneOf("float32", "int8"),
    quant: orNull(quant),
  }),
  quantization: record<ModelSpec["quantization"]>({
    precision: oneOf("fp32", "fp16", "int8"),
    weights: text,
    activations: text,
    calibration: orNull(record({ sha256, count })),
  }),
  golden: record<ModelSpec["golden"]>({ input: plainName, output: plainName, atol: share }),
  provenance: anything,
  metrics: anything,
  weights_license: text,
});

function checkTensors(input: InputSpec, output: OutputSpec): void {
  const channel = input.layout === "NHWC" ? 3 : 1;
  if (input.shape[0] !== 1 || input.shape[channel] !== 3) {
    refuse("input.shape", input.shape, `one RGB image, ${input.layout}`);
  }
  for (const [key, tensor] of [["input", input], ["output", output]] as const) {
    if ((tensor.quant === null) !== (tensor.dtype === "float32")) {
      refuse(`${key}.quant`, tensor.quant, "null for float32, scale and zero_point for int8");
    }
  }
}

function record<T extends object>(fields: { [K in keyof T]: Reader<T[K]> }): Reader<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  return (value, key) => {
    const object = asObject(value, key);
    const prefix = key === "" ? "" : `${key}.`;
    for (const name of Object.keys(object)) {
      if (!Object.hasOwn(fields, name)) {
        throw new SkyedgeError("contract", `unknown key ${prefix}${name}; expected exactly ${names.join(", ")}`);
      }
    }
    const result: Partial<T> = {};
    for (const name of names) {
      if (!Object.hasOwn(object, name)) {
        throw new SkyedgeError("contract", `missing key ${prefix}${name}; expected exactly ${names.join(", ")}`);
      }
      result[name] = fields[name](object[name], prefix + name);
    }
    return result as T;
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
