/** The page: what the visitor does, and what is shown. */
import { type Mask, SkyedgeError } from "../skyedge";
import { Camera, type CameraFrame, type Facing } from "./camera";
import { Controls, element } from "./controls";
import { describeDevice } from "./device";
import { type Engine, engineById, ENGINES, NetworkSlot } from "./engines";
import { decodeImage, listenForImages, saveFile } from "./images";
import { measure } from "./measure";
import { Numbers } from "./numbers";
import { prepareOffline } from "./offline";
import { fetchImage, makeSamples, PHOTOS } from "./samples";
import { type Look, Stage } from "./stage";

const HORIZON_KEPT = 0.9; // of the camera's horizon from frame to frame
const LEAST_SKY = 0.05; // share of the image below which no sky is replaced, as in Python

const view = element<HTMLCanvasElement>("view");
const [status, frame] = [element("status"), element("frame")];
const controls = new Controls(() => draw());
const engineList = element<HTMLSelectElement>("engine");
const camera = new Camera();
const network = new NetworkSlot();
const numbers = new Numbers(element("stages"), element("rate"), element("summary-text"));

let stage: Stage;
let still: { file: Blob; bitmap: ImageBitmap } | null = null; // the image shown, which the camera replaces
let skyShare = 1; // of the image shown
let ownSky: Blob | null = null;
let skyShown = "tint"; // the last choice that could be shown
let mirrored = false;
let facing: Facing = "environment";
let opening: Promise<void> = Promise.resolve(); // of the visitor's last image
let latest = 0; // number of the image that was asked for last: results of others come too late

function say(text: string, isError = false): void {
  status.textContent = text;
  status.classList.toggle("error", isError);
  status.hidden = text === "";
}

function explain(error: unknown): void {
  say(error instanceof Error ? error.message : String(error), true);
}

/** Where there is no sky, the image stays as it is. */
function currentLook(): Look {
  const look = controls.look(mirrored);
  return look.sky === "image" && skyShare < LEAST_SKY ? { ...look, opacity: 0 } : look;
}

/** Draws at the size that is seen, not at the image's: a photo has more pixels than a screen. */
function draw(): void {
  if (frame.dataset.width === undefined) return;
  const [width, height] = [Number(frame.dataset.width), Number(frame.dataset.height)];
  const seen = Math.min(1, (frame.clientWidth * devicePixelRatio) / width);
  stage.draw(currentLook(), Math.max(1, Math.round(width * seen)), Math.max(1, Math.round(height * seen)));
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

/** `isChosen`: by the visitor, not by the page itself. */
async function showStill(file: Blob, isChosen = true): Promise<void> {
  stopCamera();
  const mine = ++latest;
  if (isChosen) say("");
  try {
    const { bitmap, note } = await decodeImage(file, stage.maxSide);
    if (mine !== latest) return bitmap.close();
    still?.bitmap.close();
    still = { file, bitmap };
    mirrored = false;
    showSize(bitmap.width, bitmap.height);
    stage.setImage(bitmap, bitmap.width, bitmap.height);
    draw();
    await segmentStill(note);
  } catch (error) {
    explain(error);
  }
}

/** Finds the sky of the image shown, unless another was asked for meanwhile. */
async function segmentStill(note = ""): Promise<void> {
  const mine = latest;
  if (still === null) return;
  const { file, bitmap } = still;
  const ready = await network.ready();
  if (mine !== latest) return;
  const { bitmap: seen } = await decodeImage(file, stage.maxSide, true);
  const mask = await ready.segment(seen, { refine: controls.refine.checked });
  if (mine !== latest || still?.bitmap !== bitmap) return;
  stage.setMask(mask);
  skyShare = mask.map.data.reduce((sum, p) => sum + p, 0) / mask.map.data.length;
  const start = performance.now();
  draw();
  numbers.show(mask.times, performance.now() - start);
  describe(mask);
  if (skyShare < LEAST_SKY) say(`${note} This image has next to no sky, so there is none to replace.`.trim());
  else if (note !== "") say(note);
}

/** Puts the chosen sky into the image; where that cannot be had, the one before stays. */
async function changeSky(): Promise<void> {
  const { choice } = controls;
  try {
    if (choice !== "tint" && choice !== "cutout") {
      const file = choice === "own" ? ownSky : await fetchImage(`skies/${choice}.webp`);
      if (file === null) return; // the dialog is open
      const { bitmap } = await decodeImage(file, stage.maxSide);
      if (choice === controls.choice) stage.setSky(bitmap);
      bitmap.close();
    }
    skyShown = choice;
  } catch (error) {
    controls.choice = skyShown;
    explain(error);
  }
  element<HTMLButtonElement>("save-jpeg").disabled = controls.choice === "cutout"; // JPEG has no transparency
  draw();
}

async function startCamera(): Promise<void> {
  latest++;
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
    still?.bitmap.close();
    still = null;
    skyShare = 1;
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

async function save(name: string, type: string, isCutout = false): Promise<void> {
  if (frame.dataset.width === undefined) return say("Open an image first.", true);
  const blob = await stage.file(isCutout ? { ...controls.look(mirrored), sky: "cutout", opacity: 1 } : currentLook(), type);
  draw();
  saveFile(blob, name);
}

async function useEngine(engine: Engine, threads?: number): Promise<void> {
  element("progress").hidden = false;
  say(`Loading ${engine.label}…`);
  try {
    const ready = await network.use(engine, threads);
    const golden = `golden pair: difference ${ready.goldenDifference.toFixed(3)}, allowed ${ready.spec.golden.atol}`;
    element("engine-note").textContent = `${ready.runtime}, ${ready.threads} thread${ready.threads > 1 ? "s" : ""}; ${golden}.`;
  } finally {
    if (!status.classList.contains("error")) say("");
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
  } catch (error) {
    element("engine-note").textContent = `${engine.label} does not work here: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (wasLive) await startCamera();
  else await segmentStill();
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
  onPress("save-jpeg", () => save("sky.jpg", "image/jpeg"));
  onPress("save-png", () => save("sky.png", "image/png"));
  onPress("save-cutout", () => save("cutout.png", "image/png", true));
  onPress("measure", saveResults);
  listenForImages(file, element("veil"), (image) => (opening = showStill(image)), (text) => say(text, true));
  for (const input of document.querySelectorAll("input[name=sky]")) input.addEventListener("change", () => void changeSky());
  const skyFile = element<HTMLInputElement>("sky-file");
  document.querySelector("input[value=own]")?.addEventListener("click", () => skyFile.click()); // also for another one of your own
  skyFile.addEventListener("change", () => {
    ownSky = skyFile.files?.[0] ?? ownSky;
    skyFile.value = "";
    controls.choice = "own";
    void changeSky();
  });
  skyFile.addEventListener("cancel", () => {
    if (ownSky === null) controls.choice = skyShown;
  });
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
  makeSamples(element("samples"), (url) => void fetchImage(url).then(showStill, explain)); // not before: what was fetched till now is not kept
  void describeDevice().then((device) => (numbers.device = device.name));
  const sample = fetchImage(`photos/${Object.keys(PHOTOS)[0]}.jpg`);
  await changeSky();
  await useEngine(ENGINES[0]);
  const { spec } = await network.ready();
  controls.from = spec.output.threshold;
  await opening;
  if (still === null && !camera.active) await showStill(await sample, false); // the visitor had no image of their own
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
