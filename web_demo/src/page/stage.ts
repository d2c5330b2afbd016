/** The view: one image and its mask, drawn by WebGL2. */
import type { Mask, Planes } from "../skyedge";
import { FRAGMENT, VERTEX } from "./shaders";

export const SKIES = ["tint", "clear", "sunset", "stars", "cutout"] as const;
export type Sky = (typeof SKIES)[number];

export interface Look {
  sky: Sky;
  /** 0..1 */
  opacity: number;
  /** Probability from which a pixel is called sky. */
  threshold: number;
  /** Share of the width, from the left, that shows the image as it was. */
  split: number;
  mirrored: boolean;
}

const UNIFORMS = ["image", "planes", "sky", "opacity", "threshold", "split", "horizon", "aspect", "mirrored"] as const;

export class Stage {
  readonly maxSide: number;
  private readonly gl: WebGL2RenderingContext;
  private readonly at: Record<(typeof UNIFORMS)[number], WebGLUniformLocation | null>;
  private readonly textures: [WebGLTexture, WebGLTexture];
  private width = 0;
  private height = 0;
  private horizon = 1;
  private hasMask = false;

  /** Throws where the browser has no WebGL2. */
  constructor(readonly canvas: HTMLCanvasElement | OffscreenCanvas) {
    const gl = canvas.getContext("webgl2", { premultipliedAlpha: true, antialias: false, depth: false }) as WebGL2RenderingContext | null;
    if (gl === null) throw new Error("got a browser without WebGL2, expected one with it; allow hardware acceleration, or take another browser");
    this.gl = gl;
    this.maxSide = Math.min(4096, gl.getParameter(gl.MAX_TEXTURE_SIZE) as number);
    const program = link(gl);
    gl.useProgram(program);
    this.at = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(program, name)])) as typeof this.at;
    this.textures = [makeTexture(gl, 0, gl.LINEAR), makeTexture(gl, 1, gl.NEAREST)];
    gl.uniform1i(this.at.image, 0);
    gl.uniform1i(this.at.planes, 1);
  }

  setImage(source: ImageBitmap | VideoFrame, width: number, height: number): void {
    const { gl } = this;
    this.width = width;
    this.height = height;
    this.hasMask = false;
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.textures[0]);
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
    gl.uniform1i(at.sky, SKIES.indexOf(look.sky));
    gl.uniform1f(at.opacity, look.opacity);
    gl.uniform1f(at.threshold, look.threshold);
    gl.uniform1f(at.split, this.hasMask ? look.split : 2);
    gl.uniform1f(at.horizon, this.horizon);
    gl.uniform1f(at.aspect, this.width / this.height);
    gl.uniform1i(at.mirrored, look.mirrored ? 1 : 0);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /** Returns a PNG of the whole image in full size. */
  async png(look: Look): Promise<Blob> {
    const { canvas } = this;
    this.draw({ ...look, split: 0 });
    if (canvas instanceof OffscreenCanvas) return canvas.convertToBlob({ type: "image/png" });
    return new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the image could not be written as PNG; it is too large for this device"))), "image/png");
    });
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
