/** The numbers: milliseconds of each stage, frames a second, and the device. */
import type { StageTimes } from "../skyedge";

const LABELS: [keyof StageTimes | "draw", string][] = [
  ["decode", "Read pixels"],
  ["resize", "Resize"],
  ["infer", "Network"],
  ["refine", "Refine edges"],
  ["draw", "Draw"],
];
const WINDOW_MS = 2000;
const SHOW_EVERY_MS = 500;

export class Numbers {
  /** Camera frames since it was started. */
  frames = 0;
  /** Camera frames a second over the last two seconds; 0 where it is off. */
  rate = 0;
  private times: number[] = [];
  private shown = 0;
  device = "";

  constructor(
    private readonly list: HTMLElement,
    private readonly badge: HTMLElement,
    private readonly summary: HTMLElement,
  ) {}

  /** One image. */
  show(times: StageTimes, drawMs: number): void {
    const rows = LABELS.map(([key, label]) => [label, key === "draw" ? drawMs : times[key]] as const);
    const cells: [string, string][] = rows.map(([label, ms]) => [label, `${ms.toFixed(1)} ms`]);
    if (this.rate > 0) cells.unshift(["Camera", `${this.rate.toFixed(0)} frames/s`]);
    if (this.device !== "") cells.push(["Device", this.device]);
    this.list.replaceChildren(...cells.flatMap(([label, value]) => [make("dt", label), make("dd", value)]));
    this.summary.textContent = `network ${times.infer.toFixed(1)} ms`;
  }

  /** One camera frame; what is shown changes twice a second. */
  count(times: StageTimes, drawMs: number): void {
    const now = performance.now();
    this.frames++;
    this.times.push(now);
    while (this.times[0] < now - WINDOW_MS) this.times.shift();
    if (now - this.shown < SHOW_EVERY_MS || this.times.length < 2) return;
    this.shown = now;
    this.rate = ((this.times.length - 1) * 1000) / (now - this.times[0]);
    this.badge.textContent = `${this.rate.toFixed(0)} fps`;
    this.show(times, drawMs);
  }

  /** Before the camera starts, and after it stopped. */
  restart(isLive: boolean): void {
    this.frames = 0;
    this.rate = 0;
    this.times = [];
    this.badge.textContent = "";
    this.badge.hidden = !isLive;
  }
}

function make(tag: string, text: string): HTMLElement {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
