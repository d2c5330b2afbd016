/** From RGB bytes to what a backend is fed, and from what it gives to probabilities. */
import { inputSize, LIMITS, type ModelSpec } from "./spec";

export const ARRAYS = { float32: Float32Array, int8: Int8Array, uint8: Uint8Array } as const;
export type TensorData = Float32Array<ArrayBuffer> | Int8Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

/** Returns a function that turns (height, width, 3) RGB into the input tensor; it gives the same array every time. */
export function makeFeeder(spec: ModelSpec): (rgb: Uint8Array) => TensorData {
  const [height, width] = inputSize(spec);
  const pixels = height * width;
  const tensor: TensorData = new ARRAYS[spec.input.dtype](pixels * 3);
  const tables = [0, 1, 2].map((channel) => byteTable(spec, channel));
  const [step, plane] = spec.input.layout === "NHWC" ? [3, 1] : [1, pixels];
  return (rgb) => {
    for (let channel = 0; channel < 3; channel++) {
      const values = tables[channel];
      for (let i = 0; i < pixels; i++) tensor[i * step + channel * plane] = values[rgb[i * 3 + channel]];
    }
    return tensor;
  };
}

/** Returns the probabilities of an output tensor as new float32 in [0, 1]. */
export function toProbability(spec: ModelSpec, values: TensorData): Float32Array<ArrayBuffer> {
  const { scale, zero_point } = spec.output.quant ?? { scale: 1, zero_point: 0 };
  return Float32Array.from(values, (value) => Math.min(1, Math.max(0, (value - zero_point) * scale)));
}

/** What each byte of a channel becomes. */
function byteTable({ input: { mean, std, quant, dtype } }: ModelSpec, channel: number): number[] {
  const [low, high] = dtype === "float32" ? [0, 0] : LIMITS[dtype];
  return Array.from({ length: 256 }, (_, pixel) => {
    const x = (pixel - mean[channel]) / std[channel];
    return quant === null ? x : Math.min(high, Math.max(low, Math.round(x / quant.scale) + quant.zero_point));
  });
}
