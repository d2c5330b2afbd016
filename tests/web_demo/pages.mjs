/** Scenarios of the page as a whole: what it loads, offline, damage, layout, accessibility. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

export const flags = () => [];

const WIDTHS = [360, 768, 1440];

export const scenarios = {
  /** First visit to a host that sends no headers at all, work with images, then a reload without network or host. */
  async visit({ browser, serve, openPage, ready, folder }) {
    const server = await serve({ isolated: false });
    const context = await browser.newContext();
    const elsewhere = [];
    context.on("request", (request) => {
      if (!request.url().startsWith(server.url) && !/^(blob|data):/.test(request.url())) elsewhere.push(request.url());
    });
    const page = await openPage(context, server.url);
    const first = { bytes: server.bytesSent(), requests: server.requests.length, isolated: await page.evaluate(() => crossOriginIsolated) };
    await page.setInputFiles("#file", join(folder, "scene.png"));
    await page.waitForFunction(() => document.getElementById("view").getAttribute("aria-label").includes("640"));
    for (const sky of ["tint", "clouds", "stars", "cutout"]) await page.locator(`input[value=${sky}]`).check();
    await page.locator("#refine").uncheck();
    const download = page.waitForEvent("download");
    await page.click("#save-cutout");
    await (await download).saveAs(join(folder, "cutout.png"));
    await page.locator("#samples button").nth(1).click();
    await page.waitForTimeout(500);
    const later = server.requests.slice(first.requests);
    const engine = await page.locator("#engine-note").textContent();

    await server.close();
    await context.setOffline(true);
    await page.reload();
    const offline = { ready: await ready(page), isolated: await page.evaluate(() => crossOriginIsolated), label: await page.getAttribute("#view", "aria-label") };
    await context.close();
    return { first, later, elsewhere, engine, offline, errors: page.errors };
  },

  /** One byte of the model is another one. */
  async damaged({ browser, serve, openPage, demo }) {
    const model = readFileSync(join(demo, "dist/models/tflite-int8/model.tflite"));
    model[model.length >> 1] ^= 1;
    return failing({ browser, openPage, server: await serve({ spoil: (url) => (url.endsWith("model.tflite") ? model : null) }) });
  },

  /** model.json has a key that nobody knows. */
  async unknownKey({ browser, serve, openPage, demo }) {
    const spec = JSON.parse(readFileSync(join(demo, "dist/models/tflite-int8/model.json")));
    spec.input.flipped = true;
    return failing({ browser, openPage, server: await serve({ spoil: (url) => (url.endsWith("tflite-int8/model.json") ? JSON.stringify(spec) : null) }) });
  },

  /** The golden output is that of another network. */
  async wrongGolden({ browser, serve, openPage, demo }) {
    const golden = readFileSync(join(demo, "dist/models/tflite-int8/golden_out.npy"));
    const header = 10 + golden.readUInt16LE(8);
    for (let at = header; at < golden.length; at += 4) golden.writeFloatLE(1 - golden.readFloatLE(at), at);
    return failing({ browser, openPage, server: await serve({ spoil: (url) => (url.endsWith("golden_out.npy") ? golden : null) }) });
  },

  async noSimd({ browser, serve, openPage }) {
    const context = await browser.newContext();
    await context.addInitScript(() => {
      WebAssembly.validate = () => false;
    });
    return failing({ context, openPage, server: await serve() });
  },

  async noWebGl({ browser, serve, openPage }) {
    const context = await browser.newContext();
    await context.addInitScript(() => {
      HTMLCanvasElement.prototype.getContext = () => null;
    });
    return failing({ context, openPage, server: await serve() });
  },

  /** Everything that a visitor needs, by keys alone. */
  async keyboard({ sharedPage }) {
    const page = await sharedPage();
    const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.getAttribute("name") || document.activeElement?.parentElement?.id);
    const reached = [];
    for (let presses = 0; presses < 16; presses++) {
      await page.keyboard.press("Tab");
      const name = await focused();
      reached.push(name);
      if (name === "sky") await page.keyboard.press("ArrowRight");
      if (name === "split") await page.keyboard.press("End");
      if (name === "refine") await page.keyboard.press("Space");
    }
    const state = await page.evaluate(() => ({
      sky: document.querySelector("input[name=sky]:checked").value,
      split: document.getElementById("split").value,
      refine: document.getElementById("refine").checked,
    }));
    return { reached, ...state };
  },

  /** Layout at three widths, light and dark, and axe-core on each; screenshots stay in the folder, to be looked at. */
  async looks({ sharedPage, demo, folder }) {
    const page = await sharedPage();
    await page.addScriptTag({ path: createRequire(join(demo, "package.json")).resolve("axe-core/axe.min.js") });
    await page.locator("#numbers summary").click();
    const looks = [];
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await page.waitForTimeout(250); // colors fade over
        await page.screenshot({ path: join(folder, `look-${width}-${colorScheme}.png`), fullPage: true });
        looks.push({ width, colorScheme, ...(await page.evaluate(inspect)) });
      }
    }
    return { looks };
  },
};

async function failing({ browser, context, openPage, server }) {
  const opened = context ?? (await browser.newContext());
  const page = await openPage(opened, server.url);
  const found = await page.evaluate(() => ({ ready: document.body.dataset.ready, status: document.getElementById("status").textContent }));
  await opened.close();
  await server.close();
  return found;
}

/** Runs in the page. */
async function inspect() {
  const { violations } = await globalThis.axe.run(document, { resultTypes: ["violations"] });
  const visible = [...document.querySelectorAll("button, select, summary, .chip")].filter((element) => element.checkVisibility());
  return {
    violations: violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`),
    scrolls: document.documentElement.scrollWidth > innerWidth,
    small: visible.filter((element) => element.getBoundingClientRect().height < 32).map((element) => element.outerHTML.slice(0, 80)),
    outside: visible.filter((element) => element.getBoundingClientRect().right > innerWidth).map((element) => element.outerHTML.slice(0, 80)),
  };
}
