// Convert an image to the pixels that a model takes, with what a browser offers: almost as the
// scanner does, whose resizing filters a canvas does not have.

/** Draw an image file on a canvas of S x S, upright and on white. */
export async function draw(file, { size, resize, fit, interpolation }) {
  const image = await createImageBitmap(file);
  const target = resize ?? size;
  const shorter = Math.min(image.width, image.height);
  const [width, height] = fit === "stretch"
    ? [target, target]
    : [(image.width * target) / shorter, (image.height * target) / shorter];
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, size, size);
  context.imageSmoothingEnabled = interpolation !== "nearest";
  context.imageSmoothingQuality = "high";
  context.drawImage(image, (size - width) / 2, (size - height) / 2, width, height);
  image.close();
  return canvas;
}

/** Return the pixels of a canvas as a Uint8Array, RGB. */
export function pixelsOf(canvas) {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return Uint8Array.from({ length: (data.length / 4) * 3 }, (_, at) =>
    data[4 * Math.floor(at / 3) + (at % 3)]);
}
