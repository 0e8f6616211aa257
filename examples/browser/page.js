// The page: each image that is dropped or chosen becomes a row with its score.

import { loadModel } from "./model.js";
import { draw, pixelsOf } from "./pixels.js";

const state = document.getElementById("state");
const choose = document.getElementById("choose");
const drop = document.getElementById("drop");
const results = document.getElementById("results");

/** The loaded model; rejected if it could not be loaded. */
export const model = loadModel("model.onnx", "model.json");

model.then(({ manifest }) => {
  state.textContent = `${manifest.name}, flagging from score ${manifest.threshold} on`;
  choose.disabled = false;
}, (error) => {
  state.textContent = `The model cannot be loaded: ${error.message}`;
  state.className = "failed";
});

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function bar(score, threshold) {
  const shown = element("div", "bar");
  shown.append(element("div", "filled"), element("div", "threshold"));
  shown.firstChild.style.width = `${100 * score}%`;
  shown.lastChild.style.left = `${100 * threshold}%`;
  return shown;
}

async function show(file) {
  const row = element("li", "");
  const facts = element("div", "facts");
  facts.append(element("strong", "name", file.name));
  row.append(facts);
  try {
    const { manifest, score } = await model;
    const canvas = await draw(file, manifest.preprocess);
    const start = performance.now();
    const found = Number((await score(pixelsOf(canvas))).toFixed(6));
    const milliseconds = Math.round(performance.now() - start);
    const status = found >= manifest.threshold ? "flagged" : "safe";
    row.className = status;
    facts.append(
      element("span", "status", `${status}, score ${found.toFixed(6)}`),
      bar(found, manifest.threshold),
      element("span", "time", `${milliseconds} ms`));
    canvas.setAttribute("aria-hidden", "true");
    row.prepend(canvas);
  } catch (error) {
    row.className = "failed";
    facts.append(element("span", "status", `error: ${error.message}`));
  }
  results.prepend(row);
}

let last = Promise.resolve();

function showAll(files) {
  for (const file of files) last = last.then(() => show(file));
}

choose.addEventListener("change", () => {
  showAll([...choose.files]);
  choose.value = "";
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  showAll([...event.dataTransfer.files]);
});
