/** Writes the screenshot of the README: `node tools/screenshot.mjs FILE.jpg`. */
import { launch, openPage, serve } from "./browser.mjs";

const server = await serve();
const browser = await launch(["--force-color-profile=srgb"]);
const page = await openPage(await browser.newContext({ viewport: { width: 1100, height: 640 }, colorScheme: "dark" }), server.url);
await page.locator("#summary-text").evaluate((text) => (text.textContent = "")); // a figure without its conditions
await page.waitForTimeout(500);
await page.screenshot({ path: process.argv[2], type: "jpeg", quality: 85 });
process.exit(0); // helpers of the browser may linger
