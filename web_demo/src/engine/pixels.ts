/** Reads the pixels of whatever the browser calls an image, as RGBA bytes. */
import { SkyedgeError } from "./errors";

export interface Pixels {
  rgba: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
}

/** Keeps its canvas and buffer from one image to the next; transparent parts lie over black. */
export class PixelReader {
  private canvas: OffscreenCanvas | null = null;
  private context: OffscreenCanvasRenderingContext2D | null = null;
  private buffer = new Uint8Array(0);
  private copies = true; // until a VideoFrame refuses

  async read(source: ImageBitmap | VideoFrame): Promise<Pixels> {
    if (typeof VideoFrame !== "undefined" && source instanceof VideoFrame) {
      return (this.copies && (await this.copy(source))) || this.draw(source, source.displayWidth, source.displayHeight);
    }
    const { width, height } = source as ImageBitmap;
    return this.draw(source, width, height);
  }

  /** The quick way for camera frames, which browsers offer in part. */
  private async copy(frame: VideoFrame): Promise<Pixels | null> {
    const { displayWidth: width, displayHeight: height, visibleRect } = frame;
    if (visibleRect === null || visibleRect.width !== width || visibleRect.height !== height) return null;
    if (this.buffer.length !== width * height * 4) this.buffer = new Uint8Array(width * height * 4);
    try {
      // The option `format` is missing from the declarations.
      await frame.copyTo(this.buffer, { format: "RGBA" } as VideoFrameCopyToOptions);
    } catch {
      this.copies = false; // then `draw` reads this frame and all that follow
      return null;
    }
    return { rgba: this.buffer, width, height };
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
