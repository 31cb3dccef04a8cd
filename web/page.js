// The page: a dropped video, a picture or the camera, frame by frame through the model.

import { CutOut, isOnBlack } from "./cut_out.js";
import { Autoencoder } from "./model.js";

const element = (id) => document.getElementById(id);
const contexts = Object.fromEntries(
  ["source", "input", "codes", "output"].map((id) => [id, element(id).getContext("2d", { willReadFrequently: true })]),
);
const video = element("video");
const WAYS = {
  onBlack: "The frames show smoke on black, and are taken as they are.",
  cutOut: "Smoke is cut out: what is brighter than the darkest of the last 64 frames. The camera must stand still.",
  raw: "The frames do not show smoke on black and are not cut out: the model is not trained for them.",
};

// What was shown last: number of frames since the start, codes, milliseconds of the model, frames a second.
export const latest = { frames: 0, indices: null, milliseconds: NaN, framesPerSecond: NaN };

export let model;
let run = 0; // number of the current source; a loop with another number ends
let url;

export const ready = start().catch(fail);

async function start() {
  const answer = await fetch("settings.json");
  if (!answer.ok) throw new Error("settings.json is not here: smoke-vq export writes it beside this page.");
  model = await Autoencoder.load(await answer.json());
  const { name, num_codes, sample_size: size } = model.settings;
  element("model").textContent = name;
  for (const id of ["input", "output"]) [element(id).width, element(id).height] = [size, size];
  const { dims, data } = await model.encode(new ImageData(size, size));
  [element("codes").width, element("codes").height] = [dims[2], dims[1]];
  element("grid").textContent = `${data.length} codes out of ${num_codes.toLocaleString("en")}`;
  element("way").textContent = "The model is ready.";
}

function fail(error) {
  element("error").textContent = String(error.message ?? error);
}

// The central square of a video or picture, averaged to the size of the model.
function square(source, width, height) {
  const { sample_size: size } = model.settings;
  const side = Math.min(width, height);
  for (const context of [contexts.source, contexts.input]) {
    const { width: drawn } = context.canvas;
    context.imageSmoothingQuality = "high";
    context.drawImage(source, (width - side) / 2, (height - side) / 2, side, side, 0, 0, drawn, drawn);
  }
  return contexts.input.getImageData(0, 0, size, size);
}

async function show(frame, way) {
  contexts.input.putImageData(frame, 0, 0);
  const start = performance.now();
  const indices = await model.encode(frame);
  const output = await model.decode(indices);
  latest.milliseconds = performance.now() - start;
  latest.indices = indices;
  latest.frames += 1;
  contexts.codes.putImageData(model.picture(indices), 0, 0);
  contexts.output.putImageData(output, 0, 0);
  element("way").textContent = WAYS[way];
}

async function showPicture(file) {
  const picture = await createImageBitmap(file);
  const frame = square(picture, picture.width, picture.height);
  await show(frame, isOnBlack(frame) ? "onBlack" : "raw");
  element("speed").textContent = `${latest.milliseconds.toFixed(1)} ms in the model`;
}

async function playFrames(number) {
  const cutOut = new CutOut();
  const times = [];
  await video.play();
  while (number === run) {
    await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
    if (number !== run) return;
    const frame = square(video, video.videoWidth, video.videoHeight);
    cutOut.add(frame);
    const way = cutOut.isOnBlack ? "onBlack" : element("cut-out").checked ? "cutOut" : "raw";
    await show(way === "cutOut" ? cutOut.apply(frame) : frame, way);
    times.push(performance.now());
    if (times.length > 30) times.shift();
    latest.framesPerSecond = (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
    element("speed").textContent =
      `${latest.framesPerSecond.toFixed(1)} frames a second are shown; the model needs ${latest.milliseconds.toFixed(1)} ms for one`;
  }
}

function stop() {
  run += 1;
  video.pause();
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  video.removeAttribute("src");
  if (url) URL.revokeObjectURL(url);
  url = undefined;
}

async function open(source) {
  stop();
  const number = run;
  element("error").textContent = "";
  latest.frames = 0;
  try {
    await ready;
    if (source instanceof MediaStream) {
      video.srcObject = source;
      await playFrames(number);
    } else if (source.type.startsWith("image/")) {
      await showPicture(source);
    } else {
      video.src = url = URL.createObjectURL(source);
      await playFrames(number);
    }
  } catch (error) {
    if (number === run) fail(new Error(source.name ? `${source.name} cannot be shown: ${error.message}` : error.message));
  }
}

element("file").addEventListener("change", ({ target }) => target.files.length && open(target.files[0]));
element("stop").addEventListener("click", stop);
element("camera").addEventListener("click", async () => {
  try {
    open(await navigator.mediaDevices.getUserMedia({ video: true }));
  } catch (error) {
    fail(new Error(`The camera cannot be used: ${error.message}`));
  }
});
const drop = element("drop");
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  if (file) open(file);
});
