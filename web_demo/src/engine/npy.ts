/** Reads the two kinds of `.npy` that a golden pair has. */
import { SkyedgeError } from "./errors";

const MAGIC = "\x93NUMPY";

export interface NpyArray {
  shape: number[];
  data: Uint8Array | Float32Array;
}

/** Reads little-endian float32 or uint8 in C order. */
export function parseNpy(bytes: Uint8Array<ArrayBuffer>, name: string): NpyArray {
  const magic = String.fromCharCode(...bytes.subarray(0, 6));
  if (magic !== MAGIC || bytes[6] !== 1) broken(name, "no npy file of version 1");
  const start = 10 + bytes[8] + 256 * bytes[9];
  const header = String.fromCharCode(...bytes.subarray(10, start));
  const match = /'descr': '([^']+)', 'fortran_order': False, 'shape': \(([\d, ]+)\)/.exec(header);
  if (match === null) broken(name, `the header ${header.trim()}`);
  const shape = match[2].split(",").filter((part) => part.trim() !== "").map(Number);
  const length = shape.reduce((product, size) => product * size, 1);
  const body = bytes.slice(start);
  const width = match[1] === "|u1" ? 1 : match[1] === "<f4" ? 4 : broken(name, `values of type ${match[1]}`);
  if (body.length !== width * length) broken(name, `${body.length} bytes for the shape ${shape.join(" x ")}`);
  return { shape, data: width === 1 ? body : new Float32Array(body.buffer) };
}

function broken(name: string, got: string): never {
  throw new SkyedgeError("golden", `${name}: got ${got}, expected a golden array of uint8 or float32; export the artifact again`);
}
