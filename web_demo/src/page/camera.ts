/**
 * The camera: frames one after the other, the newest first.
 *
 * One frame is with the network at a time. The newest that came meanwhile waits and is sent the moment that the network
 * is free; older ones are dropped. What is drawn is drawn while the network has the next frame already.
 */

export type Facing = "environment" | "user";
export type CameraFrame = VideoFrame | ImageBitmap;

export interface CameraUse {
  /**
   * Hands a frame, which is its to close, to the network. Resolves when that is free again, to what shows the result,
   * or frees what it holds where the camera was stopped meanwhile.
   */
  onFrame(frame: CameraFrame): Promise<(isWanted: boolean) => void>;
  /** The camera was taken away, or `onFrame` failed; the text is for the visitor. */
  onEnd(text: string): void;
}

const ADVICE: Record<string, string> = {
  NotAllowedError: "The camera was denied. Allow it for this page in the browser's settings, then press Camera again.",
  NotFoundError: "This device has no camera. Open an image instead.",
  NotReadableError: "Another program holds the camera. Close it, then press Camera again.",
  OverconstrainedError: "This device has no camera on that side.",
};

export class Camera {
  private readonly video = document.createElement("video");
  private stream: MediaStream | null = null;
  private dropWaiting: () => void = () => {};
  private running = 0; // counts starts and stops, so that a loop knows when it is no longer wanted

  constructor() {
    this.video.muted = true;
    this.video.playsInline = true;
  }

  get active(): boolean {
    return this.stream !== null;
  }

  /** Starts, and stops what ran before. Throws with a text for the visitor. */
  async start(facing: Facing, use: CameraUse): Promise<{ mirrored: boolean }> {
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
      use.onEnd("The camera was taken away.");
    });
    this.video.srcObject = stream;
    await this.video.play();
    this.loop(run, use);
    return { mirrored: (track.getSettings().facingMode ?? "user") === "user" };
  }

  stop(): void {
    this.running++;
    this.dropWaiting();
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  private loop(run: number, { onFrame, onEnd }: CameraUse): void {
    const { video } = this;
    let waiting: CameraFrame | null = null;
    let isBusy = false;
    const send = async (frame: CameraFrame): Promise<void> => {
      isBusy = true;
      try {
        const show = await onFrame(frame);
        isBusy = false;
        const isWanted = run === this.running;
        const next = waiting;
        waiting = null;
        if (isWanted && next !== null) void send(next);
        show(isWanted);
      } catch (error) {
        if (run !== this.running) return;
        this.stop();
        onEnd(error instanceof Error ? error.message : String(error));
      }
    };
    const take = async (): Promise<void> => {
      if (run === this.running) request();
      const frame = typeof VideoFrame === "undefined" ? await createImageBitmap(video) : new VideoFrame(video);
      if (run !== this.running) frame.close();
      else if (!isBusy) void send(frame);
      else {
        waiting?.close();
        waiting = frame;
      }
    };
    const request = (): void => {
      if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(() => void take());
      else requestAnimationFrame(() => void take());
    };
    request();
    this.dropWaiting = () => waiting?.close();
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
