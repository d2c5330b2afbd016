/** Reads the pixels of whatever the browser calls an image, as RGBA bytes. */
import { SkyedgeError } from "./errors";

export interface Pixels {
  rgba: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
}

const KR_KB: Record<string, [number, number]> = { bt709: [0.2126, 0.0722], "bt2020-ncl": [0.2627, 0.0593] };
const BT601: [number, number] = [0.299, 0.114];

/** Keeps its canvas and buffers from one image to the next; transparent parts lie over black. */
export class PixelReader {
  private canvas: OffscreenCanvas | null = null;
  private context: OffscreenCanvasRenderingContext2D | null = null;
  private planes = new Uint8Array(0);
  private rgba = new Uint8ClampedArray(0);

  async read(source: ImageBitmap | VideoFrame): Promise<Pixels> {
    if (!("displayWidth" in source)) return this.draw(source, source.width, source.height);
    return (await this.copy(source)) ?? this.draw(source, source.displayWidth, source.displayHeight);
  }

  /**
   * The quick way for camera frames: the planes as the camera gave them, converted here. A canvas, and a copy that asks for RGBA,
   * go through the GPU and wait for it. Null for frames that are turned, stretched or in another format.
   */
  private async copy(frame: VideoFrame): Promise<Pixels | null> {
    const { format, displayWidth: width, displayHeight: height, visibleRect, colorSpace } = frame;
    const { rotation = 0, flip = false } = frame as { rotation?: number; flip?: boolean };
    if ((format !== "I420" && format !== "NV12") || rotation !== 0 || flip) return null;
    if (visibleRect?.width !== width || visibleRect.height !== height) return null;
    const size = frame.allocationSize();
    if (this.planes.length !== size) this.planes = new Uint8Array(size);
    if (this.rgba.length !== width * height * 4) this.rgba = new Uint8ClampedArray(width * height * 4).fill(255);
    const [luma, blue, red = { offset: blue.offset + 1, stride: blue.stride }] = await frame.copyTo(this.planes);
    const { y: light, rv, gu, gv, bu } = makeTables(colorSpace);
    const step = format === "NV12" ? 2 : 1;
    for (let y = 0, to = 0; y < height; y++) {
      const row = luma.offset + y * luma.stride;
      const [u, v] = [blue, red].map(({ offset, stride }) => offset + (y >> 1) * stride);
      for (let x = 0; x < width; x++, to += 4) {
        const l = light[this.planes[row + x]];
        const cb = this.planes[u + (x >> 1) * step];
        const cr = this.planes[v + (x >> 1) * step];
        this.rgba[to] = l + rv[cr];
        this.rgba[to + 1] = l + gu[cb] + gv[cr];
        this.rgba[to + 2] = l + bu[cb];
      }
    }
    return { rgba: this.rgba, width, height };
  }

  private draw(source: ImageBitmap | VideoFrame, width: number, height: number): Pixels {
    if (this.canvas === null || this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas = new OffscreenCanvas(width, height);
      this.context = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    }
    if (this.context === null) {
      throw new SkyedgeError("image", `got no canvas of ${width} x ${height} pixels, expected one; the image is too large for this device`);
    }
    this.context.fillRect(0, 0, width, height);
    this.context.drawImage(source, 0, 0, width, height);
    return { rgba: this.context.getImageData(0, 0, width, height).data, width, height };
  }
}

/** What each byte of luma and of the two color planes adds to red, green and blue. */
function makeTables({ matrix, fullRange }: VideoColorSpace) {
  const [kr, kb] = KR_KB[matrix ?? ""] ?? BT601;
  const [black, scale, color] = fullRange ? [0, 1, 1] : [16, 255 / 219, 255 / 224];
  const table = (from: number, factor: number): Float32Array => Float32Array.from({ length: 256 }, (_, byte) => (byte - from) * factor);
  const chroma = (factor: number): Float32Array => table(128, 2 * factor * color);
  const kg = 1 - kr - kb;
  return { y: table(black, scale), rv: chroma(1 - kr), gu: chroma((-kb * (1 - kb)) / kg), gv: chroma((-kr * (1 - kr)) / kg), bu: chroma(1 - kb) };
}
