/** Photographs to try, and skies cut out of them: `docs/photos/`, authors and terms in `docs/photos.md`. */

export const PHOTOS = {
  volcano_sunrise: "A volcano at sunrise",
  mountain_valley: "Mountains and spruces",
  trees_in_fog: "Trees in fog",
  venice_canal: "A canal in Venice",
  picos_de_europa: "A path in the mountains",
  city_sunset: "A city at sunset",
  boat_sunset: "A boat at sunset",
  milky_way_tree: "A tree under the Milky Way",
} as const;

export async function fetchImage(url: string): Promise<Blob> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} could not be loaded (HTTP status ${response.status}). Reload the page.`);
  return response.blob();
}

export function makeSamples(group: HTMLElement, take: (url: string) => void): void {
  for (const [name, label] of Object.entries(PHOTOS)) {
    const button = document.createElement("button");
    button.type = "button";
    const thumbnail = document.createElement("img");
    Object.assign(thumbnail, { src: `thumbs/${name}.webp`, alt: label, width: 160, height: 120 });
    button.append(thumbnail);
    button.addEventListener("click", () => take(`photos/${name}.jpg`));
    group.append(button);
  }
}
