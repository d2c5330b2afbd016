/** Scenarios of the camera: one that plays a moving scene, one that is denied, and none. */
import { setTimeout as sleep } from "node:timers/promises";

const FAKE = ["--use-fake-device-for-media-stream"];

export const flags = ({ clip }) => [...FAKE, "--use-fake-ui-for-media-stream", `--use-file-for-fake-video-capture=${clip}`];

export const scenarios = {
  async camera({ browser, serve, openPage }) {
    const server = await serve();
    const context = await browser.newContext();
    const page = await openPage(context, server.url);
    await page.click("#camera");
    await page.waitForFunction(() => globalThis.skyedge.numbers.frames >= 15, null, { timeout: 60_000 });
    const live = await page.evaluate(() => ({
      rate: document.getElementById("rate").textContent,
      pressed: document.getElementById("camera").getAttribute("aria-pressed"),
      label: document.getElementById("view").getAttribute("aria-label"),
    }));
    await page.locator("#numbers").evaluate((details) => (details.open = true));
    const stages = await page.locator("#stages").innerText();
    await page.click("#flip");
    await page.waitForFunction(() => globalThis.skyedge.numbers.frames >= 3, null, { timeout: 60_000 });
    await page.click("#camera");
    const after = await page.evaluate(() => globalThis.skyedge.numbers.frames);
    await sleep(500);
    const stopped = (await page.evaluate(() => globalThis.skyedge.numbers.frames)) === after;
    await context.close();
    await server.close();
    return { ...live, stages, stopped, errors: page.errors };
  },

  async denied({ launch, serve, openPage }) {
    return refused({ launch, serve, openPage, flags: FAKE });
  },

  async none({ launch, serve, openPage }) {
    return refused({ launch, serve, openPage, flags: ["--use-fake-ui-for-media-stream"] });
  },
};

async function refused({ launch, serve, openPage, flags: given }) {
  const browser = await launch(given);
  const server = await serve();
  const page = await openPage(await browser.newContext(), server.url);
  await page.click("#camera");
  await page.waitForFunction(() => document.getElementById("status").classList.contains("error"));
  const found = await page.evaluate(() => ({
    status: document.getElementById("status").textContent,
    pressed: document.getElementById("camera").getAttribute("aria-pressed"),
    image: document.getElementById("view").getAttribute("aria-label"),
  }));
  await browser.close();
  await server.close();
  return found;
}
