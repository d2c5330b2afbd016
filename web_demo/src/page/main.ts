/** The page: what the visitor does, and what is shown. */
import { type Mask, type Skyedge, SkyedgeError } from "../skyedge";
import { Camera, type CameraFrame, type Facing } from "./camera";
import { describeDevice } from "./device";
import { compareEngines, type Engine, engineById, ENGINES, openEngine, rememberedEngine, rememberEngine } from "./engines";
import { decodeImage, listenForImages } from "./images";
import { measure } from "./measure";
import { Numbers } from "./numbers";
import { prepareOffline } from "./offline";
import { makeSamples, SAMPLES } from "./samples";
import { saveFile } from "./save";
import { type Look, type Sky, Stage } from "./stage";

const HORIZON_KEPT = 0.9; // of the camera's horizon from frame to frame

function element<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found as T;
}

const view = element<HTMLCanvasElement>("view");
const [status, frame] = [element("status"), element("frame")];
const [split, opacity, threshold, refine] = ["split", "opacity", "threshold", "refine"].map((id) => element<HTMLInputElement>(id));
const engineList = element<HTMLSelectElement>("engine");
const camera = new Camera();
const numbers = new Numbers(element("stages"), element("rate"), element("summary-text"));

let stage: Stage;
let network: Promise<Skyedge>;
let engineInUse: Engine = ENGINES[0];
let still: ImageBitmap | null = null; // the image shown, which the camera replaces
let mirrored = false;
let facing: Facing = "environment";
let job = 0; // of the image that was asked for last: results of others come too late

function say(text: string, isError = false): void {
  status.textContent = text;
  status.classList.toggle("error", isError);
  status.hidden = text === "";
}

function explain(error: unknown): void {
  say(error instanceof Error ? error.message : String(error), true);
}

function look(): Look {
  const sky = (document.querySelector<HTMLInputElement>("input[name=sky]:checked")?.value ?? "tint") as Sky;
  return { sky, opacity: opacity.valueAsNumber / 100, threshold: threshold.valueAsNumber / 100, split: split.valueAsNumber / 100, mirrored };
}

/** A tint should let the image through, another sky should not: each keeps its own opacity. */
const opacities: Record<string, string> = { tint: "60" };
let shownSky = "";

function restoreOpacity(): void {
  const { sky } = look();
  if (sky === shownSky) opacities[sky] = opacity.value;
  else opacity.value = opacities[sky] ?? "100";
  shownSky = sky;
}

/** Draws at the size that is seen, not at the image's: a photo has more pixels than a screen. */
function draw(): void {
  if (frame.dataset.width === undefined) return;
  const [width, height] = [Number(frame.dataset.width), Number(frame.dataset.height)];
  const seen = Math.min(1, (frame.clientWidth * devicePixelRatio) / width);
  stage.draw(look(), Math.max(1, Math.round(width * seen)), Math.max(1, Math.round(height * seen)));
}

function showSize(width: number, height: number): void {
  if (frame.dataset.width === String(width) && frame.dataset.height === String(height)) return;
  frame.dataset.width = String(width);
  frame.dataset.height = String(height);
  frame.style.setProperty("--ratio", String(width / height));
}

function describe(mask: Mask): void {
  const sky = mask.map.data.filter((p) => p >= threshold.valueAsNumber / 100).length / mask.map.data.length;
  view.setAttribute("aria-label", `Image of ${mask.width} × ${mask.height} pixels, ${Math.round(100 * sky)} % sky`);
}

async function showStill(file: Blob): Promise<void> {
  stopCamera();
  const mine = ++job;
  try {
    const { bitmap, note } = await decodeImage(file, stage.maxSide);
    if (mine !== job) return bitmap.close();
    still?.close();
    still = bitmap;
    mirrored = false;
    showSize(bitmap.width, bitmap.height);
    stage.setImage(bitmap, bitmap.width, bitmap.height);
    draw();
    if (await segmentStill()) say(note);
  } catch (error) {
    explain(error);
  }
}

/** Returns whether the mask still belongs to the image shown. */
async function segmentStill(): Promise<boolean> {
  const mine = job;
  if (still === null) return false;
  const ready = await network;
  if (mine !== job) return false;
  const mask = await ready.segment(await createImageBitmap(still), { refine: refine.checked });
  if (mine !== job) return false;
  stage.setMask(mask);
  const start = performance.now();
  draw();
  numbers.show(mask.times, performance.now() - start);
  describe(mask);
  return true;
}

async function startCamera(): Promise<void> {
  job++;
  try {
    say("Opening the camera…");
    const settings = await camera.start(facing, {
      onFrame: segmentFrame,
      onEnd: (text) => {
        showCameraState();
        say(text, true);
      },
    });
    mirrored = settings.mirrored;
    say("");
  } catch (error) {
    camera.stop();
    explain(error);
  }
  showCameraState();
}

/** Returns what draws the frame; the frame that is drawn is the one that the mask belongs to. */
async function segmentFrame(image: CameraFrame): Promise<(isWanted: boolean) => void> {
  const copy = image instanceof ImageBitmap ? await createImageBitmap(image) : image.clone();
  let mask: Mask;
  try {
    mask = await (await network).segment(image, { refine: refine.checked });
  } catch (error) {
    copy.close();
    throw error;
  }
  return (isWanted) => {
    if (!isWanted) return copy.close();
    const start = performance.now();
    showSize(mask.width, mask.height);
    stage.setImage(copy, mask.width, mask.height);
    copy.close();
    stage.setMask(mask, HORIZON_KEPT);
    draw();
    numbers.count(mask.times, performance.now() - start);
    if (numbers.frames % 60 === 1) describe(mask);
  };
}

function stopCamera(): void {
  if (!camera.active) return;
  camera.stop();
  showCameraState();
}

function showCameraState(): void {
  const { active } = camera;
  element("camera").setAttribute("aria-pressed", String(active));
  element("camera-text").textContent = active ? "Stop" : "Camera";
  element("flip").hidden = !active;
  numbers.restart(active);
}

async function save(name: string, sky: Sky): Promise<void> {
  if (frame.dataset.width === undefined) return say("Open an image first.", true);
  const blob = await stage.png({ ...look(), sky, opacity: sky === "cutout" ? 1 : opacity.valueAsNumber / 100 });
  draw();
  saveFile(blob, name);
}

async function useEngine(engine: Engine, threads?: number): Promise<void> {
  const before = network;
  element("progress").hidden = false;
  say(`Loading ${engine.label}…`);
  network = openEngine(engine, threads);
  try {
    const ready = await network;
    element("engine-note").textContent = `${ready.runtime}, ${ready.threads} thread${ready.threads > 1 ? "s" : ""}; golden pair: difference ${ready.goldenDifference.toFixed(3)}, allowed ${ready.spec.golden.atol}.`;
    engineInUse = engine;
    void before?.then((old) => old.close(), () => {});
    say("");
  } catch (error) {
    if (before === undefined) throw error;
    network = before;
    await before;
    explain(error);
    throw error;
  } finally {
    engineList.value = engineInUse.id;
    element("progress").hidden = true;
  }
}

/** Takes another engine, or stays with the one in use and tells why. */
async function changeEngine(engine: Engine): Promise<void> {
  const wasLive = camera.active;
  stopCamera();
  try {
    await useEngine(engine);
    rememberEngine(engine);
  } catch (error) {
    element("engine-note").textContent = `${engine.label} does not work here: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (wasLive) await startCamera();
  else await segmentStill();
}

async function findFastest(): Promise<void> {
  const note = element("engine-note");
  const lines: string[] = [];
  const results = await compareEngines(({ engine, ms, note: detail }) => {
    lines.push(ms === null ? `${engine.label}: not here (${detail})` : `${engine.label}: ${ms.toFixed(1)} ms (${detail})`);
    note.textContent = lines.join("\n");
  });
  const best = results.filter(({ ms }) => ms !== null).sort((a, b) => (a.ms ?? 0) - (b.ms ?? 0))[0];
  if (best === undefined) return;
  await changeEngine(best.engine);
  note.textContent = `${lines.join("\n")}\nIn use: ${best.engine.label}.`;
}

async function saveResults(): Promise<void> {
  stopCamera();
  const results = await measure(await network, false, (share) => say(`Measuring: ${Math.round(100 * share)} %`));
  saveFile(new Blob([`${JSON.stringify(results, null, 1)}\n`], { type: "application/json" }), "results.json");
  say("results.json is saved. `python -m edge_runtime.report results.json` shows it.");
}

/** Runs `task` while its button is disabled; errors go to the status line. */
function onPress(id: string, task: () => Promise<void> | void): void {
  const button = element<HTMLButtonElement>(id);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await task();
    } catch (error) {
      explain(error);
    } finally {
      button.disabled = false;
    }
  });
}

function wire(): void {
  const file = element<HTMLInputElement>("file");
  onPress("open", () => file.click());
  onPress("camera", async () => {
    if (!camera.active) return startCamera();
    stopCamera();
    say("");
  });
  onPress("flip", async () => {
    facing = facing === "user" ? "environment" : "user";
    await startCamera();
  });
  onPress("save-cutout", () => save("cutout.png", "cutout"));
  onPress("save-image", () => save("sky.png", look().sky));
  onPress("compare", findFastest);
  onPress("measure", saveResults);
  listenForImages(file, element("veil"), (image) => void showStill(image), (text) => say(text, true));
  element("panel").addEventListener("submit", (event) => event.preventDefault());
  for (const input of document.querySelectorAll("input[name=sky], #opacity, #threshold, #split")) {
    input.addEventListener("input", () => {
      showValues();
      draw();
    });
  }
  refine.addEventListener("change", () => void segmentStill().catch(explain));
  for (const engine of ENGINES) engineList.add(new Option(`${engine.label} (${engine.download})`, engine.id));
  engineList.addEventListener("change", () => void changeEngine(engineById(engineList.value)));
  new ResizeObserver(() => draw()).observe(frame);
}

function showValues(): void {
  restoreOpacity();
  element("opacity-value").textContent = `${opacity.value} %`;
  element("threshold-value").textContent = (threshold.valueAsNumber / 100).toFixed(2);
  frame.style.setProperty("--split", `${split.value}%`);
  element("before-label").hidden = split.valueAsNumber < 12;
}

async function start(): Promise<void> {
  stage = new Stage(view);
  showValues();
  wire();
  const isOffline = await prepareOffline();
  element("offline").textContent = isOffline ? "After this visit the page works without a network." : "";
  makeSamples(element("samples"), (image) => void showStill(image), explain); // not before: what was fetched till now is not kept
  void describeDevice().then((device) => numbers.name(device.name));
  const first = rememberedEngine();
  const sample = fetch(SAMPLES[0].url).then((response) => response.blob());
  try {
    await useEngine(first);
  } catch (error) {
    if (first === ENGINES[0]) throw error;
    network = undefined as never;
    await useEngine(ENGINES[0]);
  }
  const ready = await network;
  threshold.value = String(Math.round(100 * ready.spec.output.threshold));
  showValues();
  await showStill(await sample);
  document.body.dataset.ready = "true";
}

// What `make web-bench` and the tests call; visitors have the buttons.
Object.assign(globalThis, { skyedge: { network: () => network, use: (id: string, threads?: number) => useEngine(engineById(id), threads), measure, numbers } });

start().catch((error: unknown) => {
  element("progress").hidden = true;
  explain(error);
  document.body.dataset.ready = error instanceof SkyedgeError ? error.fault : "failed";
});
