/** From RGB bytes to what a backend is fed, and from what it gives to probabilities. */
import { inputSize, type ModelSpec } from "./spec";

export type TensorData = Float32Array<ArrayBuffer> | Int8Array<ArrayBuffer>;

/** Returns a function that turns (height, width, 3) RGB into the input tensor; it gives the same array every time. */
export function makeFeeder(spec: ModelSpec): (rgb: Uint8Array) => TensorData {
  const { layout, dtype, quant } = spec.input;
  const [height, width] = inputSize(spec);
  const pixels = height * width;
  const tensor: TensorData = dtype === "int8" ? new Int8Array(pixels * 3) : new Float32Array(pixels * 3);
  const table = [0, 1, 2].map((channel) => byteTable(spec, channel));
  const [step, plane] = layout === "NHWC" ? [3, 1] : [1, pixels];
  // int8 with x = (byte - 127) / 128, scale 1/128 and zero point -1 is the byte with its first bit turned over.
  const isShift = layout === "NHWC" && quant !== null && table.every((values) => values.every((value, index) => value === index - 128));
  return (rgb) => {
    if (isShift) {
      for (let i = 0; i < tensor.length; i++) tensor[i] = rgb[i] - 128;
      return tensor;
    }
    for (let channel = 0; channel < 3; channel++) {
      const values = table[channel];
      for (let i = 0; i < pixels; i++) tensor[i * step + channel * plane] = values[rgb[i * 3 + channel]];
    }
    return tensor;
  };
}

/** Returns the probabilities of an output tensor as new float32 in [0, 1]. */
export function toProbability(spec: ModelSpec, values: Float32Array | Int8Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  const { scale, zero_point } = spec.output.quant ?? { scale: 1, zero_point: 0 };
  for (let i = 0; i < values.length; i++) out[i] = Math.min(1, Math.max(0, (values[i] - zero_point) * scale));
  return out;
}

function byteTable(spec: ModelSpec, channel: number): number[] {
  const { mean, std, quant } = spec.input;
  return Array.from({ length: 256 }, (_, pixel) => {
    const x = (pixel - mean[channel]) / std[channel];
    if (quant === null) return Math.fround(x);
    return Math.min(127, Math.max(-128, Math.round(x / quant.scale) + quant.zero_point));
  });
}
