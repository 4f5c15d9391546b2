// The small convolution that the window, the matrix and the backward room share: its settings, which stand in the
// address, and the library's answer to them. Nothing is computed here.
import { askLatest, Lost, superseded } from "../api.js";
import { element, field, group, select, shown, slider } from "../dom.js";
import { sizes } from "./sums.js";

const WHOLE = {
  c: [1, 1, 3], h: [7, 1, 12], w: [7, 1, 12], k: [1, 1, 3], r: [3, 1, 5], s: [3, 1, 5], sh: [1, 1, 4], sw: [1, 1, 4],
  pt: [0, 0, 4], pb: [0, 0, 4], pl: [0, 0, 4], pr: [0, 0, 4], dh: [1, 1, 3], dw: [1, 1, 3], t: [0, 0, 1], at: [0, 0, 4095],
}; // name: [default, least, most]
const RELIEF = [-2, -1, 0, -1, 1, 1, 0, 1, 2]; // its numbers sum to 1, so that no two outputs of 1, 2, 3, … are the same
const RATE = 0.0001; // the gradients of 1, 2, 3, … are hundreds: a step of this goes a little way
const RULE = "⌊(image + padding before + padding after − dilation·(kernel − 1) − 1) / stride⌋ + 1";
const STAMPED = "(input − 1)·stride − padding before − padding after + dilation·(kernel − 1) + 1";

/** Read settings from the address; what can't be is replaced by its default. */
export function parse(values) {
  const found = {};
  for (const [name, [start, least, most]] of Object.entries(WHOLE)) {
    const number = Number.parseInt(values[name] ?? start, 10);
    found[name] = Number.isInteger(number) ? Math.min(most, Math.max(least, number)) : start;
  }
  const rate = Number.parseFloat(values.rate ?? RATE);
  found.rate = Number.isFinite(rate) && rate >= 0 ? rate : RATE;
  for (const name of ["x", "wt", "b", "dy"]) {
    const numbers = values[name]?.split(",").map(Number);
    found[name] = numbers?.every(Number.isFinite) ? numbers : null;
  }
  return found;
}

const times = (count, make) => Array.from({ length: count }, (_, index) => make(index));

/** Nest a flat list into axes of the sizes given. */
export function nest(flat, axes) {
  if (axes.length === 1) return flat.slice(0, axes[0]);
  const each = flat.length / axes[0];
  return times(axes[0], (index) => nest(flat.slice(index * each, (index + 1) * each), axes.slice(1)));
}

const size = (axes) => axes.reduce((a, b) => a * b, 1);

export class Example {
  /** `changed(example)` is called with every answer. Where a setting can't work, the page says why, and shows no answer. */
  constructor(values, { remember, changed }) {
    this.settings = parse(values);
    Object.assign(this, { remember, changed, answer: null, typed: {}, sliders: {}, groups: [] });
    this.refusal = element("p", { class: "refusal", role: "alert" });
    this.formula = element("dl", { class: "formula" });
    this.body = element("div", { hidden: true });
    for (const name of ["x", "wt", "b"]) this.#keep(name);
  }

  get imageSizes() { const { c, h, w } = this.settings; return [c, h, w]; }
  get weightSizes() {
    const { c, k, r, s, t } = this.settings;
    return t ? [c, k, r, s] : [k, c, r, s];
  }

  /** The numbers: those a person typed, else the post's 1, 2, 3, … and a kernel that makes a relief. */
  get image() {
    const { x } = this.settings;
    const count = size(this.imageSizes);
    return x?.length === count ? x : times(count, (index) => index + 1);
  }
  get weight() {
    const { wt, r, s } = this.settings;
    const count = size(this.weightSizes);
    if (wt?.length === count) return wt;
    if (r === 3 && s === 3) return times(count, (index) => RELIEF[(index + Math.floor(index / 9)) % 9]);
    return times(count, (index) => ((index * 7 + 3) % 5) - 1);
  }
  get bias() {
    const { b, k } = this.settings;
    return b?.length === k ? b : times(k, () => 0);
  }

  set(values, { push = true } = {}) {
    Object.assign(this.settings, values);
    for (const name of ["x", "wt", "b"]) {
      if (name in values) this.#keep(name);
      else this.#refit(name);
    }
    this.#label();
    this.#remember(push);
    return this.compute();
  }

  #sizes(name) { return { x: this.imageSizes, wt: this.weightSizes, b: [this.settings.k] }[name]; }

  /** Remember typed numbers with their shape: a smaller image hides some of them, and a larger one brings them back. */
  #keep(name) {
    const flat = this.settings[name];
    this.typed[name] = flat?.length === size(this.#sizes(name)) ? { flat, axes: this.#sizes(name) } : null;
  }

  /** Put the typed numbers where they belong in the present shape, among those that it begins with. */
  #refit(name) {
    const known = this.typed[name];
    if (!known) return;
    const now = this.#sizes(name);
    this.settings[name] = null;
    const fresh = { x: this.image, wt: this.weight, b: this.bias }[name];
    this.settings[name] = fresh.map((number, index) => {
      const place = now.map((each, axis) => Math.floor(index / size(now.slice(axis + 1))) % each);
      const inside = place.every((at, axis) => at < known.axes[axis]);
      return inside ? known.flat[place.reduce((sum, at, axis) => sum * known.axes[axis] + at, 0)] : number;
    });
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
    if (this.settings.rate !== RATE) stored.rate = this.settings.rate;
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
      this.body.hidden = false;
      this.refusal.textContent = "";
      this.formula.replaceChildren();
      this.changed(this);
    } catch (error) {
      if (!(error instanceof Lost)) this.#refused(error.message);
    }
  }

  #refused(message) {
    const [why, formula] = message.split(" Output size: ");
    this.answer = null;
    this.body.hidden = true;
    this.refusal.textContent = why;
    this.formula.replaceChildren(...(formula ? this.rule(formula) : []));
  }

  /** The rule for the output's size, then the library's own words with the numbers. */
  rule(formula) {
    return [element("dt", {}, "output size"), element("dd", {}, this.settings.t ? STAMPED : RULE), ...sizes(formula)];
  }

  /** The column of what comes out: the parts, or why there are none. */
  result(...parts) {
    this.body.replaceChildren(...parts);
    return element("div", {}, this.refusal, this.formula, this.body);
  }

  /** The sliders of everything that can be set. */
  controls({ transposed = false } = {}) {
    const one = (name, label) => {
      const [, min, max] = WHOLE[name];
      this.sliders[name] = slider(label, {
        min, max, value: this.settings[name], change: (value, push) => this.set({ [name]: value }, { push }),
      });
      return this.sliders[name];
    };
    const part = (title, labels) => {
      const made = group(title, ...Object.entries(labels).map(([name, label]) => one(name, label)));
      this.groups.push([made, Object.keys(labels)]);
      return made;
    };
    const parts = [
      part("Image", { h: "rows", w: "columns", c: "channels" }),
      part("Kernel", { r: "kernel rows", s: "kernel columns", k: "filters" }),
      part("Stride", { sh: "down", sw: "right" }),
      part("Padding", { pt: "top", pb: "bottom", pl: "left", pr: "right side" }),
      part("Dilation", { dh: "rows apart", dw: "columns apart" }),
    ];
    this.#label();
    return element("div", { class: "controls" }, ...parts, transposed ? group("Kind", this.#direction()) : null);
  }

  /** Let every control show what is set. */
  #label() {
    for (const [name, made] of Object.entries(this.sliders)) made.set(this.settings[name]);
    for (const [made, names] of this.groups) made.note(names.map((name) => this.settings[name]).join(" · "));
  }

  #direction() {
    return select("Direction", {
      options: [["0", "convolution: the window slides"], ["1", "transposed: the kernel is stamped"]],
      value: String(this.settings.t), change: (value) => this.set({ t: Number(value), at: 0, dy: null }),
    });
  }

  rateField() {
    const input = element("input", { type: "number", min: 0, step: "any", value: this.settings.rate });
    const made = field("learning rate", input, "0 or more");
    input.addEventListener("change", () => {
      const rate = input.valueAsNumber;
      const fine = rate >= 0 && rate <= 1e6;
      made.querySelector("small").textContent = fine ? "0 or more" : `give 0 to 1000000; ${shown(this.settings.rate, 9)} is still used`;
      if (fine) this.set({ rate });
      else input.value = this.settings.rate;
    });
    return made;
  }
}
