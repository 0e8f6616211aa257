// Score pixels with an ONNX model as its manifest describes, like nsfwscan.inference.tensors.

import * as ort from "./onnxruntime-web/ort.wasm.bundle.min.mjs";

const ROUNDING = 1e-5; // largest error of a softmax in single precision

ort.env.wasm.numThreads = 1; // more need a page that the server isolates from others

async function get(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return answer;
}

async function loadRuntime() {
  const packed = await get(
    new URL("./onnxruntime-web/ort-wasm-simd-threaded.wasm.gz", import.meta.url));
  const unpacked = packed.body.pipeThrough(new DecompressionStream("gzip"));
  ort.env.wasm.wasmBinary = await new Response(unpacked).arrayBuffer();
}

const runtime = loadRuntime();

/**
 * Load a model and its manifest.
 *
 * Returns the manifest, and `score`, which turns a Uint8Array of S x S x 3 pixels (rows from the
 * top, RGB) into a score from 0 to 1.
 */
export async function loadModel(modelUrl, manifestUrl) {
  const manifest = await (await get(manifestUrl)).json();
  const bytes = new Uint8Array(await (await get(modelUrl)).arrayBuffer());
  await runtime;
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const [input] = session.inputNames;
  const output = manifest.output.name ?? session.outputNames[0];

  async function score(pixels) {
    const { size } = manifest.preprocess;
    if (!(pixels instanceof Uint8Array) || pixels.length !== 3 * size * size) {
      throw new TypeError(`expected a Uint8Array of ${size} x ${size} x 3 pixels`);
    }
    const found = await session.run({ [input]: toTensor(pixels, size, manifest.input) }, [output]);
    return toScore(Array.from(found[output].data), manifest.output);
  }

  return { manifest, score };
}

function toTensor(pixels, size, { dtype, layout, channels, mean, scale }) {
  const area = size * size;
  const values = new { uint8: Uint8Array, float32: Float32Array, float16: globalThis.Float16Array }[
    dtype](3 * area);
  for (let at = 0; at < area; at += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      const value = pixels[3 * at + (channels === "BGR" ? 2 - channel : channel)];
      const place = layout === "NHWC" ? 3 * at + channel : channel * area + at;
      values[place] = (value - mean[channel]) * scale[channel];
    }
  }
  return new ort.Tensor(dtype, values, layout === "NHWC" ? [1, size, size, 3] : [1, 3, size, size]);
}

function toScore(values, { activation, reduction, column, classes, counted }) {
  const all = activated(values, activation);
  const some = counted.map((name) => all[classes.indexOf(name)]);
  const score = {
    column: () => all[column],
    maximum: () => Math.max(...some),
    sum: () => sum(some),
    complement: () => 1 - sum(some),
  }[reduction]();
  if (!(score > -ROUNDING && score < 1 + ROUNDING)) {
    throw new Error(`the model returned ${score}, which is not a probability`);
  }
  return Math.min(Math.max(score, 0), 1);
}

function activated(values, activation) {
  if (activation === "sigmoid") return values.map((value) => 1 / (1 + Math.exp(-value)));
  if (activation === "none") return values;
  const highest = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - highest));
  return powers.map((power) => power / sum(powers));
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
