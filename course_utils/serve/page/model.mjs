// The model in this page: ONNX Runtime compiled to WebAssembly, one thread, no graphics card.

const here = (path) => new URL(`../${path}`, import.meta.url).href;

async function get(path) {
  const response = await fetch(here(path));
  if (!response.ok) throw new Error(`The server answered ${response.status} for ${path}.`);
  return response;
}

/** Fetch the model's description, its weights and the runtime; after that no request is needed any more. */
export async function load() {
  const card = await (await get("model.json")).json();
  if (!card.runtime) {
    throw new Error("The browser's runtime is not on this server yet: run “python -m course_utils.serve assets” there, "
      + "then reload. Until then, POST /predict classifies on the server.");
  }
  const [ort, weights] = await Promise.all([import(here("runtime/ort.wasm.min.mjs")), get("model.onnx")]);
  ort.env.wasm.wasmPaths = here("runtime/");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(new Uint8Array(await weights.arrayBuffer()), {
    executionProviders: ["wasm"],
  });
  const model = { card, runtime: ort.env.versions.web, logits: (scans) => logits(ort, session, card, scans) };
  await model.logits([new Uint8Array(card.channels * card.size ** 2)]);  // the first call is slow: not on the user's time
  return model;
}

/** Scans, each a Uint8Array of channels × size × size → one Float32Array of logits for each. */
async function logits(ort, session, { channels, size, mean, std, classes }, scans) {
  const plane = size * size, numbers = new Float32Array(scans.length * channels * plane);
  scans.forEach((scan, n) => {
    for (let i = 0, at = n * scan.length; i < scan.length; i++) {
      const c = Math.floor(i / plane);
      numbers[at + i] = (scan[i] / 255 - mean[c]) / std[c];
    }
  });
  const x = new ort.Tensor("float32", numbers, [scans.length, channels, size, size]);
  const { logits: y } = await session.run({ x });
  return scans.map((_, n) => y.data.slice(n * classes.length, (n + 1) * classes.length));
}

/** Probabilities: softmax of logits divided by the temperature, the one number that calibrates them. */
export function softmax(logits, temperature) {
  const scaled = Array.from(logits, (x) => x / temperature), top = Math.max(...scaled);
  const powers = scaled.map((x) => Math.exp(x - top)), total = powers.reduce((sum, p) => sum + p, 0);
  return powers.map((p) => p / total);
}

export const HUMAN = "refer to a human";

/** The decision that costs least on average; a person is asked when that is cheaper, or when the model is unsure. */
export function decide(probs, { classes, thresholds }) {
  const { cost, decisions = classes, review_cost, min_confidence } = thresholds;
  if (cost) {
    const prices = decisions.map((_, d) => probs.reduce((sum, p, k) => sum + p * cost[k][d], 0));
    const cheapest = prices.indexOf(Math.min(...prices));
    return review_cost != null && review_cost < prices[cheapest] ? HUMAN : decisions[cheapest];
  }
  const best = probs.indexOf(Math.max(...probs));
  return min_confidence != null && probs[best] < min_confidence ? HUMAN : classes[best];
}

/** Everything the page says about one scan. */
export async function answer(model, scan) {
  const start = performance.now();
  const [row] = await model.logits([scan]);
  const milliseconds = performance.now() - start;
  const probs = softmax(row, model.card.thresholds.temperature ?? 1);
  const label = model.card.classes[probs.indexOf(Math.max(...probs))];
  return { probs, label, decision: decide(probs, model.card), milliseconds };
}
