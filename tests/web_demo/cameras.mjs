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
    await page.waitForFunction(() => globalThis.skyedge.numbers.frames >= 15);
    const live = await page.evaluate(() => ({
      rate: document.getElementById("rate").textContent,
      pressed: document.getElementById("camera").getAttribute("aria-pressed"),
      label: document.getElementById("view").getAttribute("aria-label"),
    }));
    await page.locator("#numbers").evaluate((details) => (details.open = true));
    const stages = await page.locator("#stages").innerText();
    await page.click("#flip");
    await page.waitForFunction(() => globalThis.skyedge.numbers.frames >= 3);
    await page.click("#camera");
    const after = await page.evaluate(() => globalThis.skyedge.numbers.frames);
    await sleep(500);
    const stopped = (await page.evaluate(() => globalThis.skyedge.numbers.frames)) === after;
    await context.close();
    await server.close();
    return { ...live, stages, stopped, errors: page.errors };
  },

  async denied({ launch, serve }) {
    return refused({ launch, serve, flags: FAKE });
  },

  async none({ launch, serve }) {
    return refused({ launch, serve, flags: ["--use-fake-ui-for-media-stream"] });
  },
};

/** The answer comes before the network is there. */
async function refused({ launch, serve, flags: given }) {
  const browser = await launch(given);
  const server = await serve();
  const page = await browser.newPage();
  await page.goto(server.url);
  await page.click("#camera");
  await page.waitForFunction(() => document.getElementById("status").classList.contains("error"));
  const found = await page.evaluate(() => ({
    status: document.getElementById("status").textContent,
    pressed: document.getElementById("camera").getAttribute("aria-pressed"),
  }));
  await browser.close();
  await server.close();
  return found;
}
