/** The settings: what they stand at, and the numbers beside them. */
import type { Look } from "./stage";

const LABEL_FROM = 12; // per cent of the original that must be seen before the word "before" fits on it

export function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found as T;
}

export class Controls {
  readonly refine = element<HTMLInputElement>("refine");
  private readonly split = element<HTMLInputElement>("split");
  private readonly opacity = element<HTMLInputElement>("opacity");
  private readonly threshold = element<HTMLInputElement>("threshold");
  // A tint should let the image through, another sky should not: each keeps its own opacity.
  private readonly opacities: Record<string, string> = { tint: "60" };
  private sky = "";

  /** `onChange` hears of the sliders. Another sky and finer edges take time: whoever provides them listens. */
  constructor(onChange: () => void) {
    for (const input of document.querySelectorAll("#opacity, #threshold, #split")) {
      input.addEventListener("input", () => {
        this.show();
        onChange();
      });
    }
    this.show();
  }

  /** Probability from which a pixel is called sky. */
  get from(): number {
    return this.threshold.valueAsNumber / 100;
  }

  set from(probability: number) {
    this.threshold.value = String(Math.round(100 * probability));
    this.show();
  }

  /** What is chosen: "tint", "cutout", "own" or one of the skies. */
  get choice(): string {
    return document.querySelector<HTMLInputElement>("input[name=sky]:checked")?.value ?? "tint";
  }

  set choice(name: string) {
    for (const input of document.querySelectorAll<HTMLInputElement>("input[name=sky]")) input.checked = input.value === name;
    this.show();
  }

  look(mirrored: boolean): Look {
    const { choice } = this;
    const sky = choice === "tint" || choice === "cutout" ? choice : "image";
    return { sky, opacity: this.opacity.valueAsNumber / 100, threshold: this.from, split: this.split.valueAsNumber / 100, mirrored };
  }

  private show(): void {
    const sky = this.choice;
    if (sky === this.sky) this.opacities[sky] = this.opacity.value;
    else this.opacity.value = this.opacities[sky] ?? "100";
    this.sky = sky;
    element("opacity-value").textContent = `${this.opacity.value} %`;
    element("threshold-value").textContent = `${this.threshold.value} %`;
    element("frame").style.setProperty("--split", `${this.split.value}%`);
    element("before-label").hidden = this.split.valueAsNumber < LABEL_FROM;
  }
}
