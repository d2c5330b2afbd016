/** The view: one image and its mask, drawn by WebGL2. */
import type { Mask, Planes } from "../skyedge";
import { FRAGMENT, VERTEX } from "./shaders";

const KINDS = ["tint", "image", "cutout"] as const;
const GROUND = { dark: 0.45, color: 0.3 }; // how dark a black sky makes the ground, and how much of the sky's color falls on it

export interface Look {
  /** The sky is tinted, replaced by the image of `setSky`, or transparent. */
  sky: (typeof KINDS)[number];
  /** 0..1 */
  opacity: number;
  /** Probability from which a pixel is called sky. */
  threshold: number;
  /** Share of the width, from the left, that shows the image as it was. */
  split: number;
  mirrored: boolean;
}

const UNIFORMS = ["image", "planes", "above", "sky", "opacity", "threshold", "split", "horizon", "cover", "light", "mirrored"] as const;

export class Stage {
  readonly maxSide: number;
  private readonly gl: WebGL2RenderingContext;
  private readonly at: Record<(typeof UNIFORMS)[number], WebGLUniformLocation | null>;
  private readonly textures: WebGLTexture[];
  private width = 0;
  private height = 0;
  private horizon = 1;
  private hasMask = false;
  private skyAspect = 1;
  private light: number[] = [1, 1, 1];

  /** Throws where the browser has no WebGL2. */
  constructor(readonly canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { premultipliedAlpha: true, antialias: false, depth: false });
    if (gl === null) throw new Error("got a browser without WebGL2, expected one with it; allow hardware acceleration, or take another browser");
    this.gl = gl;
    this.maxSide = Math.min(4096, gl.getParameter(gl.MAX_TEXTURE_SIZE) as number);
    const program = link(gl);
    gl.useProgram(program);
    this.at = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)])) as typeof this.at;
    this.textures = [gl.LINEAR, gl.NEAREST, gl.LINEAR].map((filter, unit) => makeTexture(gl, unit, filter));
    for (const [unit, name] of (["image", "planes", "above"] as const).entries()) gl.uniform1i(this.at[name], unit);
  }

  setImage(source: ImageBitmap | VideoFrame, width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.hasMask = false;
    this.upload(0, source);
  }

  /** The image that replaces the sky; its mean color lights the ground. */
  setSky(source: ImageBitmap): void {
    this.upload(2, source);
    this.skyAspect = source.width / source.height;
    const context = new OffscreenCanvas(8, 8).getContext("2d");
    context?.drawImage(source, 0, 0, 8, 8);
    const pixels = context?.getImageData(0, 0, 8, 8).data ?? new Uint8ClampedArray(256).fill(255);
    const mean = [0, 1, 2].map((channel) => pixels.reduce((sum, value, i) => sum + (i % 4 === channel ? value : 0), 0) / 64 / 255);
    const brightness = Math.max(...mean, 0.01);
    const level = GROUND.dark + (1 - GROUND.dark) * Math.min(1, 1.6 * brightness);
    this.light = mean.map((value) => level * (1 - GROUND.color + (GROUND.color * value) / brightness));
  }

  private upload(unit: number, source: ImageBitmap | VideoFrame): void {
    const { gl } = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, this.textures[unit]);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, source);
  }

  /** `steady` (0..1) is how much of the horizon of the frame before is kept. */
  setMask(mask: Mask, steady = 0): void {
    const { gl } = this;
    const { width, height, data }: Planes = mask.planes;
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.textures[1]);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, width, height, 0, gl.RGBA, gl.FLOAT, data);
    this.horizon = steady * this.horizon + (1 - steady) * findHorizon(mask);
    this.hasMask = true;
  }

  /** Draws into a canvas of this many pixels at most; without a mask, the image as it is. */
  draw(look: Look, width = this.width, height = this.height): void {
    const { gl, canvas, at } = this;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    const aspect = this.width / (this.height * this.horizon) / this.skyAspect; // of what the sky covers, to that of the sky
    gl.uniform2f(at.cover, Math.min(1, aspect), Math.min(1, 1 / aspect));
    gl.uniform3fv(at.light, this.light);
    gl.uniform1i(at.sky, KINDS.indexOf(look.sky));
    gl.uniform1f(at.opacity, look.opacity);
    gl.uniform1f(at.threshold, look.threshold);
    gl.uniform1f(at.split, this.hasMask ? look.split : 2);
    gl.uniform1f(at.horizon, this.horizon);
    gl.uniform1i(at.mirrored, look.mirrored ? 1 : 0);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /** Returns the whole image in full size as a file of this type. */
  async file(look: Look, type: string): Promise<Blob> {
    this.draw({ ...look, split: 0 });
    const blob = await new Promise<Blob | null>((resolve) => this.canvas.toBlob(resolve, type, 0.93));
    if (blob === null) throw new Error("The image could not be written: it is too large for this device.");
    return blob;
  }
}

/** Height, as a share of the image's, above which 95 % of the sky lies. */
function findHorizon({ map: { width, height, data } }: Mask): number {
  const rows = Array.from({ length: height }, (_, y) => data.subarray(y * width, (y + 1) * width).reduce((sum, p) => sum + p, 0));
  const total = rows.reduce((sum, row) => sum + row, 0);
  let seen = 0;
  for (let y = 0; y < height; y++) {
    seen += rows[y];
    if (seen >= 0.95 * total) return Math.max(0.15, (y + 1) / height);
  }
  return 1;
}

function makeTexture(gl: WebGL2RenderingContext, unit: number, filter: number): WebGLTexture {
  const texture = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, texture);
  for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, filter);
  for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
  return texture;
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]] as const) {
    const shader = gl.createShader(kind);
    if (shader === null) throw new Error("got a lost WebGL context, expected a working one; reload the page");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(`the view's shader: ${gl.getShaderInfoLog(shader) ?? "unknown"}`);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`the view's shaders: ${gl.getProgramInfoLog(program) ?? "unknown"}`);
  return program;
}
