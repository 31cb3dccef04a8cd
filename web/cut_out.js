// Smoke on black, from frames of a camera that stands still. The models know smoke on black only.

const BLACK = 4; // of 255, the noise of video compression
const [FAINT, CLEAR] = [10, 30]; // of 255: a difference below the first is noise, above the second it is smoke
const TARGET = 0.85 * 255; // what the brightest smoke is brought to, by a factor of 1 to 4, as in the training data

// Whether a square frame shows something on black: three of its edges are mostly black.
export function isOnBlack({ data, width: size }) {
  const black = (x, y) => Math.max(...data.subarray(4 * (y * size + x), 4 * (y * size + x) + 3)) <= BLACK;
  const share = (at) => Array.from({ length: size }, (_, i) => black(...at(i))).filter(Boolean).length / size;
  const edges = [(i) => [i, 0], (i) => [i, size - 1], (i) => [0, i], (i) => [size - 1, i]];
  return edges.filter((at) => share(at) > 0.5).length >= 3;
}

export class CutOut {
  // The background of a pixel is its darkest value in the last `length` frames: smoke is what is brighter.
  constructor(length = 64) {
    this.length = length;
    this.frames = [];
    this.onBlack = [];
    this.next = 0;
    this.peak = 0;
  }

  get seen() {
    return this.frames.length;
  }

  // Whether most of the frames that are remembered show something on black already.
  get isOnBlack() {
    return this.onBlack.filter(Boolean).length > this.seen / 2;
  }

  add(frame) {
    this.frames[this.next] = frame.data;
    this.onBlack[this.next] = isOnBlack(frame);
    this.next = (this.next + 1) % this.length;
  }

  // Smoke is taken as white: frame = opacity * 255 + (1 - opacity) * background. The result is the frame without the
  // background's share.
  apply({ data, width, height }) {
    const background = Uint8ClampedArray.from(this.frames[0]);
    for (const frame of this.frames) {
      for (let i = 0; i < frame.length; i++) if (frame[i] < background[i]) background[i] = frame[i];
    }
    const smoke = new Float32Array(data.length);
    const bright = [];
    for (let i = 0; i < data.length; i += 4) {
      const differences = [0, 1, 2].map((c) => data[i + c] - background[i + c]);
      const opacity = Math.max(...differences.map((d, c) => d / (256 - background[i + c])));
      const t = Math.min(Math.max((Math.max(...differences) - FAINT) / (CLEAR - FAINT), 0), 1);
      const share = t * t * (3 - 2 * t);
      for (let c = 0; c < 3; c++) smoke[i + c] = share * (differences[c] + opacity * background[i + c]);
      const brightness = Math.max(...smoke.subarray(i, i + 3));
      if (brightness > 2) bright.push(brightness);
    }
    bright.sort((a, b) => a - b);
    if (bright.length > 20) this.peak = Math.max(bright[Math.floor(0.99 * bright.length)], 0.98 * this.peak);
    const gain = this.peak ? Math.min(Math.max(TARGET / this.peak, 1), 4) : 1;
    const image = new ImageData(width, height);
    for (let i = 0; i < data.length; i++) image.data[i] = i % 4 === 3 ? 255 : gain * smoke[i];
    return image;
  }
}
