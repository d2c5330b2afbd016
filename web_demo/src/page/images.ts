/** Images of the visitor: by the file dialog, dropped or pasted; decoded here, never sent anywhere; and files back. */

const MAX_BYTES = 100 << 20;

/**
 * Decodes at most `maxSide` pixels a side, upright; throws with a text for the visitor.
 *
 * For eyes and for files, colors are converted from the image's profile to sRGB. The network gets the bytes as they are (`raw`), as
 * in Python and C++.
 */
export async function decodeImage(file: Blob, maxSide: number, raw = false): Promise<{ bitmap: ImageBitmap; note: string }> {
  const name = file instanceof File && file.name ? file.name : "The image";
  if (file.size > MAX_BYTES) {
    throw new Error(`${name} has ${Math.round(file.size / 2 ** 20)} MiB; the page takes at most ${MAX_BYTES >> 20} MiB. Make it smaller first.`);
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: raw ? "none" : "default" });
  } catch {
    throw new Error(`${name} cannot be decoded: it is broken, too large, or no image that this browser knows. Try a JPEG, PNG or WebP.`);
  }
  const { width, height } = bitmap;
  const scale = maxSide / Math.max(width, height);
  if (scale >= 1) return { bitmap, note: "" };
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const smaller = await createImageBitmap(bitmap, { resizeWidth, resizeHeight, resizeQuality: "high" }).finally(() => bitmap.close());
  return { bitmap: smaller, note: `${width} × ${height} pixels are more than this page draws; it works on ${resizeWidth} × ${resizeHeight}.` };
}

/** Calls `take` for every image that is chosen, dropped anywhere, or pasted, and `refuse` for anything else. */
export function listenForImages(input: HTMLInputElement, veil: HTMLElement, take: (file: Blob) => void, refuse: (text: string) => void): void {
  const offer = (data: DataTransfer | null): void => {
    const file = Array.from(data?.files ?? []).find(({ type }) => type === "" || type.startsWith("image/"));
    if (file) take(file);
    else refuse("That is no image file. Try a JPEG, PNG or WebP.");
  };
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) take(file);
    input.value = "";
  });
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    veil.hidden = false;
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) veil.hidden = true;
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    veil.hidden = true;
    offer(event.dataTransfer);
  });
  window.addEventListener("paste", (event) => {
    if ((event.clipboardData?.files.length ?? 0) > 0) offer(event.clipboardData);
  });
}

/** Hands a file to the visitor. */
export function saveFile(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
