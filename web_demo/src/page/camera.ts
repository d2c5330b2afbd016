/** The camera: frames one after the other, the newest first, never more than one at a time. */

export type Facing = "environment" | "user";

const ADVICE: Record<string, string> = {
  NotAllowedError: "The camera was denied. Allow it for this page in the browser's settings, then press Camera again.",
  NotFoundError: "This device has no camera. Open an image instead.",
  NotReadableError: "Another program holds the camera. Close it, then press Camera again.",
  OverconstrainedError: "This device has no camera on that side.",
};

export class Camera {
  private readonly video = document.createElement("video");
  private stream: MediaStream | null = null;
  private running = 0; // counts starts and stops, so that a loop knows when it is no longer wanted

  constructor() {
    this.video.muted = true;
    this.video.playsInline = true;
  }

  get active(): boolean {
    return this.stream !== null;
  }

  /** Starts, and calls `onFrame` for frames; while it is busy, frames are dropped. Throws with a text for the visitor. */
  async start(facing: Facing, onFrame: (frame: VideoFrame | ImageBitmap, width: number, height: number) => Promise<void>, onEnd: (text: string) => void): Promise<{ mirrored: boolean }> {
    this.stop();
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("Browsers give the camera to secure pages only. Open this page by https, or on localhost.");
    }
    const run = ++this.running;
    const stream = await openStream(facing);
    if (run !== this.running) {
      for (const track of stream.getTracks()) track.stop();
      return { mirrored: false };
    }
    this.stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      if (run !== this.running) return;
      this.stop();
      onEnd("The camera was taken away.");
    });
    this.video.srcObject = stream;
    await this.video.play();
    this.loop(run, onFrame, onEnd);
    return { mirrored: (track.getSettings().facingMode ?? "user") === "user" };
  }

  stop(): void {
    this.running++;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  private loop(run: number, onFrame: (frame: VideoFrame | ImageBitmap, width: number, height: number) => Promise<void>, onEnd: (text: string) => void): void {
    const { video } = this;
    const step = async (): Promise<void> => {
      if (run !== this.running) return;
      try {
        const { videoWidth: width, videoHeight: height } = video;
        const frame = typeof VideoFrame === "undefined" ? await createImageBitmap(video) : new VideoFrame(video);
        await onFrame(frame, width, height);
      } catch (error) {
        if (run !== this.running) return;
        this.stop();
        onEnd(error instanceof Error ? error.message : String(error));
        return;
      }
      next();
    };
    const next = (): void => {
      if (run !== this.running) return;
      if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(() => void step());
      else requestAnimationFrame(() => void step());
    };
    next();
  }
}

async function openStream(facing: Facing): Promise<MediaStream> {
  try {
    const video = { facingMode: { ideal: facing }, width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 60 } };
    return await navigator.mediaDevices.getUserMedia({ audio: false, video });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    throw new Error(ADVICE[name] ?? `The camera could not be opened: ${String(error)}`);
  }
}
