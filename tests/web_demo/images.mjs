/** Scenarios of images: masks of every engine, the ways to bring an image in, and what cannot be read. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const flags = () => [];

const ENGINES = ["litert", "onnx-int8", "onnx-fp32"];
const IMAGES = ["scene", "portrait"];

export const scenarios = {
  /** Dropped, pasted, broken, huge, and no image at all. */
  async ways({ sharedPage, folder }) {
    const page = await sharedPage();
    const bytes = readFileSync(join(folder, "portrait.png")).toString("base64");
    const shows = (text) => page.waitForFunction((part) => document.getElementById("view").getAttribute("aria-label").includes(part), text);
    await page.evaluate(offer, { kind: "drop", bytes, type: "image/png" });
    await shows("201 × 300");
    await page.locator("#samples button").first().click();
    await shows("1280 × 837");
    await page.evaluate(offer, { kind: "paste", bytes, type: "image/png" });
    await shows("201 × 300");
    const said = {};
    const read = async (name, act) => {
      await page.evaluate(() => (document.getElementById("status").textContent = ""));
      await act();
      await page.waitForFunction(() => document.getElementById("status").textContent !== "");
      said[name] = await page.locator("#status").textContent();
    };
    await read("broken", () => page.setInputFiles("#file", join(folder, "broken.png")));
    await read("text", () => page.evaluate(offer, { kind: "drop", bytes: btoa("no image"), type: "text/plain" }));
    await read("huge", () => page.setInputFiles("#file", join(folder, "huge.jpg")));
    const label = await page.getAttribute("#view", "aria-label");
    return { said, label, errors: page.errors };
  },

  /** A broken file while the network loads: what is said stays, and the page's own photograph comes. */
  async early({ browser, serve, ready, folder }) {
    const server = await serve();
    const page = await (await browser.newContext()).newPage();
    await page.goto(server.url);
    await page.waitForSelector("#engine option", { state: "attached" });
    await page.setInputFiles("#file", join(folder, "broken.png"));
    const found = { ready: await ready(page), label: await page.getAttribute("#view", "aria-label"), status: await page.locator("#status").textContent() };
    await page.close();
    await server.close();
    return found;
  },

  /** Other skies: one of your own, none where there is no sky, a photograph with another color profile; and the files that are saved. */
  async skies({ sharedPage, folder }) {
    const page = await sharedPage();
    const open = async (name) => {
      await page.setInputFiles("#file", join(folder, name));
      const size = name === "portrait.png" ? "201 × 300" : "640 × 480";
      await page.waitForFunction((text) => document.getElementById("view").getAttribute("aria-label").includes(text), size);
    };
    const save = async (button, name) => {
      const download = page.waitForEvent("download");
      await page.click(button);
      await (await download).saveAs(join(folder, name));
    };
    await open("portrait.png");
    await open("scene.png");
    await page.setInputFiles("#sky-file", join(folder, "red.png"));
    await page.waitForFunction(() => document.querySelector("input[name=sky]:checked").value === "own");
    await page.waitForTimeout(500);
    await save("#save-png", "own.png");
    await save("#save-jpeg", "own.jpg");
    await open("portrait.png");
    await open("room.png");
    await page.waitForFunction(() => document.getElementById("status").textContent.includes("no sky"));
    await save("#save-png", "room.saved.png");
    await open("portrait.png");
    await open("p3.png");
    await page.locator("input[value=tint]").check();
    await page.locator("#opacity").fill("0");
    await save("#save-png", "p3.saved.png");
    return { errors: page.errors };
  },

  /** The result file of the page, by the quick rule. */
  async measured({ sharedPage, folder }) {
    const page = await sharedPage();
    const results = await page.evaluate(async () => globalThis.skyedge.measure(await globalThis.skyedge.network(), true));
    writeFileSync(join(folder, "results.json"), JSON.stringify(results));
    return {};
  },

  /** WebGPU, which headless chromium has not: a note, and the engine before goes on. */
  async webgpu({ sharedPage }) {
    const page = await sharedPage();
    await page.locator("#numbers").evaluate((details) => (details.open = true));
    await page.selectOption("#engine", "webgpu");
    await page.waitForFunction(() => document.getElementById("engine-note").textContent.includes("does not work here"));
    const note = await page.locator("#engine-note").textContent();
    const chosen = await page.locator("#engine").inputValue();
    const works = await page.evaluate(async () => (await globalThis.skyedge.network()).runtime);
    return { note, chosen, works, errors: page.errors };
  },

  /** The mask of each engine, as bytes beside the image, for Python to compare. */
  async masks({ sharedPage, folder }) {
    const page = await sharedPage();
    const engines = {};
    for (const id of ENGINES) {
      await page.locator("#numbers").evaluate((details) => (details.open = true));
      await page.selectOption("#engine", id);
      await page.waitForFunction((label) => document.getElementById("engine-note").textContent.startsWith(label), id === "litert" ? "LiteRT" : "onnxruntime");
      await page.waitForFunction(() => document.getElementById("progress").hidden);
      engines[id] = await page.locator("#engine-note").textContent();
      for (const name of IMAGES) {
        const base64 = readFileSync(join(folder, `${name}.png`)).toString("base64");
        writeFileSync(join(folder, `${name}.${id}.mask`), Buffer.from(await page.evaluate(segment, base64), "base64"));
      }
    }
    return { engines, errors: page.errors };
  },
};

/** Runs in the page: PNG in, mask out, both as base64. */
async function segment(base64) {
  const network = await globalThis.skyedge.network();
  const blob = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);
  const mask = (await network.segment(await createImageBitmap(blob))).toMask8();
  let text = "";
  for (let at = 0; at < mask.length; at += 8192) text += String.fromCharCode(...mask.subarray(at, at + 8192));
  return btoa(text);
}

/** Runs in the page: what the browser does when a visitor drops or pastes a file. */
function offer({ kind, bytes, type }) {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], "file", { type }));
  if (kind === "drop") window.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, cancelable: true }));
  else window.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer }));
}
