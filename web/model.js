// The autoencoder: two ONNX files, run by onnxruntime-web on one thread.

export class Autoencoder {
  // `settings` is the content of settings.json; files are looked for beside the page.
  static async load(settings) {
    const model = new Autoencoder();
    const runtime = new URL(settings.runtime, document.baseURI).href;
    model.settings = settings;
    model.ort = await import(`${runtime}ort.wasm.min.mjs`);
    model.ort.env.wasm.wasmPaths = runtime;
    model.ort.env.wasm.numThreads = 1; // more need headers that a static host seldom sends
    const open = (file) => model.ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
    model.encoder = await open("encoder.onnx");
    model.decoder = await open("decoder.onnx");
    return model;
  }

  // ImageData of size x size pixels to a tensor of codes (1, h, w) or (1, h, w, depth), int32.
  async encode(image) {
    const { sample_size: size, num_channels: channels } = this.settings;
    const area = size * size;
    const values = new Float32Array(channels * area);
    for (let i = 0; i < area; i++) {
      const rgb = image.data.subarray(4 * i, 4 * i + 3);
      const colour = channels === 1 ? [(rgb[0] + rgb[1] + rgb[2]) / 3] : rgb;
      for (let c = 0; c < channels; c++) values[c * area + i] = colour[c] / 127.5 - 1;
    }
    const pixels = new this.ort.Tensor("float32", values, [1, channels, size, size]);
    return (await this.encoder.run({ pixel_values: pixels })).indices;
  }

  // A tensor of codes to ImageData.
  async decode(indices) {
    const { sample_size: size, num_channels: channels } = this.settings;
    const area = size * size;
    const { data } = (await this.decoder.run({ indices })).sample;
    const image = new ImageData(size, size);
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round((data[(c % channels) * area + i] + 1) * 127.5); // clamps
      image.data[4 * i + 3] = 255;
    }
    return image;
  }

  // Codes as a picture with one pixel for each position; with several codes at a position, the first of them.
  picture(indices) {
    const [, height, width, depth = 1] = indices.dims;
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      image.data.set(this.settings.colours[indices.data[i * depth]], 4 * i);
      image.data[4 * i + 3] = 255;
    }
    return image;
  }
}
