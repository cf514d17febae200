// The page itself: what is chosen, dropped or tried goes through scan.mjs and model.mjs, and becomes a card.

import { answer, HUMAN, load } from "./model.mjs";
import { readScan, ScanError } from "./scan.mjs";

const MOST_FILES = 200;                                     // in one go
const SIGNS = { urgent: "▲", routine: "●", discharge: "✓", [HUMAN]: "?" };
const $ = (id) => document.getElementById(id);
const state = document.documentElement.dataset;             // loading → ready, or failed

/** A new element with a class and a text. */
function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

const percent = (p) => `${(100 * p).toFixed(p > 0.0995 && p < 0.9995 ? 0 : 1)} %`;
const many = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// --- the model -------------------------------------------------------------------------------------------------------
export const model = load();                                // a promise, also for the tests that look over our shoulder

model.then(ready).catch((error) => {
  state.state = "failed";
  $("status").className = "error";
  $("status").textContent = error.message;
  console.error(error);
});

async function ready({ card, runtime }) {
  $("warning").textContent = `${card.simulated ? "Learnt from simulated scans" : "A teaching model"}. Not for clinical use.`;
  $("about").textContent = `Model ${card.version}, ${(card.bytes / 1000).toFixed(0)} kB, ${card.size} × ${card.size} pixels; `
    + `classes ${card.classes.join(", ")}. Runs on ONNX Runtime Web ${runtime}, one thread.`;
  await showSamples(card.samples);
  $("status").textContent = "Ready. Everything is here: you could unplug the network now.";
  $("files").disabled = false;
  state.state = "ready";
  keepForLater().catch(() => { state.kept = "no"; });         // not allowed here: plain http to another machine, say
}

/** Let a service worker keep copies, where the browser allows one, so that the page also opens again offline. */
async function keepForLater() {
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  await navigator.serviceWorker.register("sw.js");
  const { active } = await navigator.serviceWorker.ready;
  const channel = new MessageChannel();
  channel.port1.onmessage = () => { state.kept = "yes"; };
  active.postMessage([location.href.split("#")[0], ...new Set(loaded)], [channel.port2]);
}

// --- ways in ---------------------------------------------------------------------------------------------------------
$("files").addEventListener("change", (event) => {
  classify([...event.target.files]);
  event.target.value = "";                                  // choosing the same file again counts again
});

// A picture dropped beside the field would replace this page, so the whole window accepts it.
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  window.addEventListener(type, (event) => {
    event.preventDefault();
    const over = type === "dragenter" || type === "dragover" || (type === "dragleave" && event.relatedTarget);
    $("drop").classList.toggle("over", Boolean(over));
    if (type === "drop") classify([...event.dataTransfer.files]);
  });
}

async function showSamples(names) {
  $("sheet").hidden = names.length === 0;
  for (const name of names) {                               // fetched now, so that they work offline too
    const blob = await (await fetch(new URL(`samples/${name}`, document.baseURI))).blob();
    const button = make("button", "sample"), canvas = make("canvas");
    const bitmap = await createImageBitmap(blob);
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    canvas.ariaHidden = "true";
    button.type = "button";
    button.append(canvas, make("span", "", name.replace("-", " ").replace(".png", "").toUpperCase()));
    button.addEventListener("click", () => classify([new File([blob], name)]));
    const item = make("li");
    item.append(button);
    $("samples").append(item);
  }
}

// --- answers ---------------------------------------------------------------------------------------------------------
const tally = new Map();                                    // decision → how many
let queue = Promise.resolve();                              // one lot after the other, in the order of asking

/** One card a file, the newest lot on top; a file that cannot be read gets a card that says why. */
function classify(files) {
  if (state.state !== "ready" || files.length === 0) return;
  if (files.length > MOST_FILES) {
    $("summary").textContent = `${files.length} files at once are too many; choose at most ${MOST_FILES}.`;
    return;
  }
  const cards = files.map((file) => {
    const card = make("li", "card");
    card.append(make("p", "hint", `${file.name}: waiting …`));
    return card;
  });
  $("results").prepend(...cards);
  $("clear").hidden = false;
  cards[0].scrollIntoView({ block: "nearest" });
  queue = queue.then(() => answerAll(files, cards));
}

async function answerAll(files, cards) {
  for (const [i, file] of files.entries()) {
    const said = await answerFile(file, cards[i]);
    if (!cards[i].isConnected) return;                      // cleared meanwhile
    cards[i].dataset.answer = JSON.stringify(said);
    const what = said.error ? "not read" : said.decision;
    tally.set(what, (tally.get(what) ?? 0) + 1);
    announce(files, said);
    await new Promise((done) => setTimeout(done));          // let the browser paint
  }
}

async function answerFile(file, card) {
  const start = performance.now();
  try {
    const ready = await model, scan = await readScan(file, ready.card);
    const prepared = performance.now() - start;
    const found = await answer(ready, scan);
    showAnswer(card, file.name, scan, found, ready.card, prepared);
    const probabilities = Object.fromEntries(ready.card.classes.map((name, k) => [name, found.probs[k]]));
    return { name: file.name, label: found.label, decision: found.decision, probabilities };
  } catch (error) {
    const text = error instanceof ScanError ? error.message : "The file cannot be read.";
    if (!(error instanceof ScanError)) console.error(error);
    card.classList.add("bad");
    card.replaceChildren(make("h3", "", file.name), make("p", "error", text));
    return { name: file.name, error: text };
  }
}

function showAnswer(card, name, scan, { probs, label, decision, milliseconds }, { classes, size, channels }, prepared) {
  const text = make("div"), chosen = make("p", "decision");
  card.dataset.decision = decision;
  const sign = make("span", "sign", SIGNS[decision] ?? "■");
  sign.ariaHidden = "true";
  chosen.append(sign, make("strong", "", decision));
  const why = decision === HUMAN ? `Most likely ${label}, but not sure enough to act on it.` : `Most likely ${label}.`;
  const timing = `Prepared in ${prepared.toFixed(1)} ms, answered in ${milliseconds.toFixed(1)} ms.`;
  text.append(make("h3", "", name), chosen, make("p", "", why), bars(classes, probs, label), make("p", "hint", timing));
  card.replaceChildren(picture(scan, size, channels, name), text);
}

/** What the model saw, pixel by pixel. */
function picture(scan, size, channels, name) {
  const canvas = make("canvas", "scan"), plane = size * size;
  canvas.width = canvas.height = size;
  canvas.role = "img";
  canvas.ariaLabel = `${name} as the model sees it, ${size} by ${size} pixels`;
  const context = canvas.getContext("2d"), image = context.createImageData(size, size);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = scan[(channels === 1 ? 0 : c) * plane + i];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Probabilities as a table, which a screen reader can read, drawn as bars. */
function bars(classes, probs, label) {
  const table = make("table");
  table.append(make("caption", "unseen", "Probability of each class"));
  classes.forEach((name, k) => {
    const row = make("tr", name === label ? "top" : ""), head = make("th", "", name), cell = make("td", "track");
    head.scope = "row";
    const bar = make("span", "bar");
    bar.style.width = `${100 * probs[k]}%`;
    cell.append(bar);
    cell.ariaHidden = "true";
    row.append(head, cell, make("td", "number", percent(probs[k])));
    table.append(row);
  });
  return table;
}

/** For the eye a line of counts; a screen reader hears it, and for a single scan also the answer itself. */
function announce(files, last) {
  const all = [...tally].map(([what, n]) => `${n} ${what}`).join(", ");
  const total = [...tally.values()].reduce((sum, n) => sum + n, 0);
  const one = files.length === 1 ? `${last.name}: ${last.error ?? `${last.decision}.`} ` : "";
  $("summary").textContent = `${one}${many(total, "file")} so far: ${all}.`;
}

$("clear").addEventListener("click", () => {
  $("results").replaceChildren();
  tally.clear();
  $("summary").textContent = "None yet.";
  $("clear").hidden = true;
  $("answers").focus();                                     // the button that had the focus is gone
});
