/** Reads the pixels of whatever the browser calls an image, as RGBA bytes. */
import { SkyedgeError } from "./errors";

export interface Pixels {
  rgba: Uint8ClampedArray;
  width: number;
  height: number;
}

/** Keeps its canvas from one image to the next; transparent parts lie over black. */
export class PixelReader {
  private canvas: OffscreenCanvas | null = null;
  private context: OffscreenCanvasRenderingContext2D | null = null;

  read(source: ImageBitmap | VideoFrame): Pixels {
    const [width, height] = "displayWidth" in source ? [source.displayWidth, source.displayHeight] : [source.width, source.height];
    if (this.canvas?.width !== width || this.canvas.height !== height) {
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
