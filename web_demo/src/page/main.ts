/** The page: what the visitor does, and what is shown. */
import { type Mask, SkyedgeError } from "../skyedge";
import { Camera, type CameraFrame, type Facing } from "./camera";
import { Controls, element } from "./controls";
import { describeDevice } from "./device";
import { compareEngines, describeComparison, describeNetwork, type Engine, engineById, ENGINES, NetworkSlot, rememberedEngine, rememberEngine } from "./engines";
import { decodeImage, listenForImages, saveFile } from "./images";
import { measure } from "./measure";
import { Numbers } from "./numbers";
import { prepareOffline } from "./offline";
import { makeSamples, SAMPLES } from "./samples";
import { type Sky, Stage } from "./stage";

const HORIZON_KEPT = 0.9; // of the camera's horizon from frame to frame

const view = element<HTMLCanvasElement>("view");
const [status, frame] = [element("status"), element("frame")];
const controls = new Controls(() => draw());
const engineList = element<HTMLSelectElement>("engine");
const camera = new Camera();
const network = new NetworkSlot();
const numbers = new Numbers(element("stages"), element("rate"), element("summary-text"));

let stage: Stage;
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

/** Draws at the size that is seen, not at the image's: a photo has more pixels than a screen. */
function draw(): void {
  if (frame.dataset.width === undefined) return;
  const [width, height] = [Number(frame.dataset.width), Number(frame.dataset.height)];
  const seen = Math.min(1, (frame.clientWidth * devicePixelRatio) / width);
  stage.draw(controls.look(mirrored), Math.max(1, Math.round(width * seen)), Math.max(1, Math.round(height * seen)));
}

function showSize(width: number, height: number): void {
  if (frame.dataset.width === String(width) && frame.dataset.height === String(height)) return;
  frame.dataset.width = String(width);
  frame.dataset.height = String(height);
  frame.style.setProperty("--ratio", String(width / height));
}

function describe(mask: Mask): void {
  const sky = mask.map.data.filter((p) => p >= controls.from).length / mask.map.data.length;
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
  const ready = await network.ready();
  if (mine !== job) return false;
  const mask = await ready.segment(await createImageBitmap(still), { refine: controls.refine.checked });
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
    mask = await (await network.ready()).segment(image, { refine: controls.refine.checked });
  } catch (error) {
    copy.close();
    throw error;
  }
  return (isWanted) => {
    if (!isWanted) return copy.close();
    still?.close();
    still = null;
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
  const current = controls.look(mirrored);
  const blob = await stage.png({ ...current, sky, opacity: sky === "cutout" ? 1 : current.opacity });
  draw();
  saveFile(blob, name);
}

async function useEngine(engine: Engine, threads?: number): Promise<void> {
  element("progress").hidden = false;
  say(`Loading ${engine.label}…`);
  try {
    const ready = await network.use(engine, threads);
    const golden = `golden pair: difference ${ready.goldenDifference.toFixed(3)}, allowed ${ready.spec.golden.atol}`;
    element("engine-note").textContent = `${describeNetwork(ready)}; ${golden}.`;
  } finally {
    say("");
    engineList.value = network.engine.id;
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
  const [best] = await compareEngines((result) => {
    lines.push(describeComparison(result));
    note.textContent = lines.join("\n");
  });
  if (best.ms === null) return;
  await changeEngine(best.engine);
  note.textContent = `${lines.join("\n")}\nIn use: ${best.engine.label}.`;
}

async function saveResults(): Promise<void> {
  stopCamera();
  const results = await measure(await network.ready(), false, (share) => say(`Measuring: ${Math.round(100 * share)} %`));
  saveFile(new Blob([`${JSON.stringify(results, null, 1)}\n`], { type: "application/json" }), "results.json");
  say("results.json is saved. `python -m skyedge.report results.json` shows it.");
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
  onPress("save-image", () => save("sky.png", controls.look(mirrored).sky));
  onPress("compare", findFastest);
  onPress("measure", saveResults);
  listenForImages(file, element("veil"), (image) => void showStill(image), (text) => say(text, true));
  element("panel").addEventListener("submit", (event) => event.preventDefault());
  controls.refine.addEventListener("change", () => void segmentStill().catch(explain));
  for (const engine of ENGINES) engineList.add(new Option(`${engine.label} (${engine.download})`, engine.id));
  engineList.addEventListener("change", () => void changeEngine(engineById(engineList.value)));
  view.addEventListener("webglcontextlost", () => say("The browser took the drawing away to save memory. Reload the page.", true));
  new ResizeObserver(() => draw()).observe(frame);
}

async function start(): Promise<void> {
  stage = new Stage(view);
  wire();
  const isOffline = await prepareOffline();
  element("offline").textContent = isOffline ? "After this visit the page works without a network." : "";
  makeSamples(element("samples"), (image) => void showStill(image), explain); // not before: what was fetched till now is not kept
  void describeDevice().then((device) => numbers.name(device.name));
  const first = rememberedEngine();
  const sample = fetch(SAMPLES[0].url).then((response) => response.blob());
  await useEngine(first).catch((error: unknown) => {
    if (first === ENGINES[0]) throw error;
    return useEngine(ENGINES[0]);
  });
  const { spec } = await network.ready();
  controls.from = spec.output.threshold;
  if (job === 0) await showStill(await sample); // the visitor was not faster
  document.body.dataset.ready = "true";
}

// What `make web-bench` and the tests call; visitors have the buttons.
Object.assign(globalThis, { skyedge: { network: () => network.ready(), use: (id: string, threads?: number) => useEngine(engineById(id), threads), measure, numbers } });

start().catch((error: unknown) => {
  element("progress").hidden = true;
  network.fail(error);
  explain(error);
  document.body.dataset.ready = error instanceof SkyedgeError ? error.fault : "failed";
});
