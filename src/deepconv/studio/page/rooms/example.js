// The small convolution that the window, the matrix and the backward room share: its settings, which stand in the
// address, and the library's answer to them. Nothing is computed here.
import { askLatest, superseded } from "../api.js";
import { element, field, select, slider } from "../dom.js";

const WHOLE = {
  c: [1, 1, 3], h: [7, 1, 12], w: [7, 1, 12], k: [1, 1, 3], r: [3, 1, 5], s: [3, 1, 5], sh: [1, 1, 4], sw: [1, 1, 4],
  pt: [0, 0, 4], pb: [0, 0, 4], pl: [0, 0, 4], pr: [0, 0, 4], dh: [1, 1, 3], dw: [1, 1, 3], t: [0, 0, 1], at: [0, 0, 4095],
}; // name: [default, least, most]
const SOBEL = [1, 0, -1, 2, 0, -2, 1, 0, -1];

/** Read settings from the address; what can't be is replaced by its default. */
export function parse(values) {
  const found = {};
  for (const [name, [start, least, most]] of Object.entries(WHOLE)) {
    const number = Number.parseInt(values[name] ?? start, 10);
    found[name] = Number.isInteger(number) ? Math.min(most, Math.max(least, number)) : start;
  }
  const rate = Number.parseFloat(values.rate ?? 0.01);
  found.rate = Number.isFinite(rate) && rate >= 0 ? rate : 0.01;
  for (const name of ["x", "wt", "b", "dy"]) {
    const numbers = values[name]?.split(",").map(Number);
    found[name] = numbers?.every(Number.isFinite) ? numbers : null;
  }
  return found;
}

const times = (count, make) => Array.from({ length: count }, (_, index) => make(index));

/** Nest a flat list into axes of the sizes given. */
function nest(flat, sizes) {
  if (sizes.length === 1) return flat.slice(0, sizes[0]);
  const each = flat.length / sizes[0];
  return times(sizes[0], (index) => nest(flat.slice(index * each, (index + 1) * each), sizes.slice(1)));
}

const size = (sizes) => sizes.reduce((a, b) => a * b, 1);

export class Example {
  /** `changed(example)` is called with every answer, `refused(message)` where a setting can't work. */
  constructor(values, { remember, changed, refused }) {
    this.settings = parse(values);
    Object.assign(this, { remember, changed, refused, answer: null });
  }

  get imageSizes() { const { c, h, w } = this.settings; return [c, h, w]; }
  get weightSizes() {
    const { c, k, r, s, t } = this.settings;
    return t ? [c, k, r, s] : [k, c, r, s];
  }

  /** The numbers: those a person typed, else the post's 1, 2, 3, … and a kernel that finds edges. */
  get image() {
    const { x } = this.settings;
    const count = size(this.imageSizes);
    return x?.length === count ? x : times(count, (index) => index + 1);
  }
  get weight() {
    const { wt, r, s } = this.settings;
    const count = size(this.weightSizes);
    if (wt?.length === count) return wt;
    if (r === 3 && s === 3) return times(count, (index) => SOBEL[(index + Math.floor(index / 9)) % 9]);
    return times(count, (index) => ((index * 7 + 3) % 5) - 2);
  }
  get bias() {
    const { b, k } = this.settings;
    return b?.length === k ? b : times(k, () => 0);
  }

  set(values, { push = true } = {}) {
    Object.assign(this.settings, values);
    this.#remember(push);
    return this.compute();
  }

  /** Put one number in its place: `list` is x, wt, b or dy. */
  put(list, index, value) {
    const now = { x: this.image, wt: this.weight, b: this.bias, dy: this.dy }[list].slice();
    now[index] = value;
    return this.set({ [list]: now });
  }

  get dy() {
    const flat = this.answer ? this.answer.dy.flat(2) : [];
    return this.settings.dy?.length === flat.length ? this.settings.dy : flat;
  }

  /** Put the settings into the address without asking anew. */
  mark() { this.#remember(false); }

  #remember(push) {
    const stored = {};
    for (const [name, value] of Object.entries(this.settings)) {
      if (WHOLE[name] && value !== WHOLE[name][0]) stored[name] = value;
      else if (Array.isArray(value)) stored[name] = value.join(",");
    }
    if (this.settings.rate !== 0.01) stored.rate = this.settings.rate;
    this.remember(stored, { push });
  }

  async compute() {
    const { sh, sw, pt, pb, pl, pr, dh, dw, k, t, rate, dy } = this.settings;
    const wanted = {
      image: nest(this.image, this.imageSizes), weight: nest(this.weight, this.weightSizes), bias: this.bias,
      stride: [sh, sw], padding: [[pt, pb], [pl, pr]], dilation: [dh, dw], transposed: Boolean(t), rate,
    };
    const places = dy && this.answer ? this.answer.y : null;
    if (places && dy.length === places.flat(2).length) {
      wanted.dy = nest(dy, [k, places[0].length, places[0][0].length]);
    }
    try {
      let answer = await askLatest("window", "compute", wanted);
      if (answer === superseded) return;
      if (dy && !wanted.dy && dy.length === answer.y.flat(2).length) { // a link brought dy along: now its shape is known
        this.answer = answer;
        return this.compute();
      }
      this.answer = answer;
      this.changed(this);
    } catch (error) {
      this.refused(error.message);
    }
  }

  /** The sliders of everything that can be set. */
  controls({ transposed = false } = {}) {
    const now = this.settings;
    const one = (label, name) => {
      const [, min, max] = WHOLE[name];
      return slider(label, { min, max, value: now[name], change: (value, push) => this.set({ [name]: value }, { push }) });
    };
    const group = (title, ...parts) => element("fieldset", {}, element("legend", {}, title), ...parts);
    return element("div", { class: "controls" },
      group("Image", one("rows", "h"), one("columns", "w"), one("channels", "c")),
      group("Kernel", one("kernel rows", "r"), one("kernel columns", "s"), one("filters", "k")),
      group("Stride", one("down", "sh"), one("right", "sw")),
      group("Padding", one("top", "pt"), one("bottom", "pb"), one("left", "pl"), one("right side", "pr")),
      group("Dilation", one("rows apart", "dh"), one("columns apart", "dw")),
      transposed ? this.#direction() : null);
  }

  #direction() {
    const choice = select("Direction", {
      options: [["0", "convolution: the window slides"], ["1", "transposed: the kernel is stamped"]],
      value: String(this.settings.t), change: (value) => this.set({ t: Number(value), at: 0, dy: null }),
    });
    return element("fieldset", {}, element("legend", {}, "Kind"), choice);
  }

  rateField() {
    const input = element("input", { type: "number", min: 0, step: "any", value: this.settings.rate });
    input.addEventListener("change", () => this.set({ rate: Math.max(0, input.valueAsNumber || 0) }));
    return field("learning rate", input);
  }
}
