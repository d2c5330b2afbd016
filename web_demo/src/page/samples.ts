/** Sample scenes, which the project generated: `python -m scenes.render --size 480 640 --count 1 --seed SEED`. */

export const SAMPLES = [
  { url: "scenes/spruces.jpg", label: "Spruces in snow", seed: 529 },
  { url: "scenes/street.jpg", label: "A street", seed: 527 },
  { url: "scenes/branches.jpg", label: "Bare branches", seed: 519 },
  { url: "scenes/towers.jpg", label: "Glass towers", seed: 513 },
] as const;

export function makeSamples(group: HTMLElement, take: (image: Blob) => void, refuse: (error: unknown) => void): void {
  for (const { url, label } of SAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    const thumbnail = document.createElement("img");
    Object.assign(thumbnail, { src: url, alt: label, width: 160, height: 120 });
    button.append(thumbnail);
    button.addEventListener("click", () => {
      fetch(url)
        .then((response) => response.blob())
        .then(take)
        .catch(refuse);
    });
    group.append(button);
  }
}
