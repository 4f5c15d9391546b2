// Any kernel on any picture: the result beside the original, and the sum behind each pixel.
import { ask, askLatest, superseded } from "../api.js";
import { element, field, group, select, shown, slider } from "../dom.js";
import { copies } from "./copies.js";
import { kernelControls } from "./kernel.js";
import { explained, frame, pointing } from "./pixel.js";
import { source } from "./source.js";

const BORDERS = [["reflect", "reflect (edge repeated)"], ["mirror", "mirror (edge not repeated)"], ["edge", "edge"], ["wrap", "wrap"],
  ["zero", "zero"], ["crop", "crop"]];
const SIGNED = [["clip", "cut off below black"], ["absolute", "without their sign"], ["grey", "around middle grey"], ["stretch", "stretched to the full range"]];
const LARGE = 320; // pixels of the screen that a small picture is enlarged to
const LONG = 6; // of a picture so many times as long as it is wide one sees a part at a time

export async function open(root, { values, remember }) {
  const state = {
    border: values.border ?? "reflect", divisor: number(values.divisor, 1) || 1, offset: number(values.offset, 0), signed: values.signed ?? "clip",
    flip: values.flip === "1", stride: number(values.stride, 1), at: values.at?.split(",").map(Number).filter(Number.isInteger) ?? [],
  };
  let picture = null;
  let ready = false; // a kernel is chosen
  let gone = false;
  let looked = []; // the pixel whose sum is written

  const said = { picture: "", setting: "", result: "" };
  const refusal = element("p", { class: "refusal", role: "alert" });
  /** Say what can't be; what is said of one thing stays until that thing is right. */
  const say = (what, text) => {
    said[what] = text;
    refusal.textContent = Object.values(said).filter(Boolean).join(" ");
  };

  const facts = element("p", { class: "explain" });
  const original = canvas({ "aria-label": "the picture" });
  const [seen, made] = [element("div", { class: "mark" }), element("div", { class: "mark" })]; // the window, and the pixel made of it
  const result = canvas({ tabindex: 0, "aria-label": "the result; the arrow keys choose the pixel whose sum is shown" });
  const sums = element("div", { role: "status", class: "pixel" });
  const cost = element("p", { class: "explain cost" });

  const { kernels } = await ask("lab", "catalogue");
  const divisor = element("input", { type: "number", step: "any", min: -1e6, max: 1e6, value: state.divisor, onchange: () => divide(divisor) });
  const kernel = kernelControls({
    kernels, values, refused: (text) => say("setting", text),
    changed: (push, view) => {
      ready = true;
      if (view) signed.set(view);
      change(view ? { signed: view } : {}, push);
    },
  }, field("divisor", divisor), element("div", { class: "buttons" }, element("button", { onclick: () => divide(null) }, "divide by the sum")));
  const border = select("beyond the edge", { options: BORDERS, value: state.border, change: (value) => change({ border: value }) });
  const signed = select("negative results", { options: SIGNED, value: state.signed, change: (value) => change({ signed: value }) });
  const offset = slider("offset", { min: -1, max: 1, step: 0.05, value: state.offset, change: (value, push) => change({ offset: value }, push) });
  const stride = slider("stride", { min: 1, max: 8, value: state.stride, change: (value, push) => change({ stride: value }, push) });
  const flip = element("input", { type: "checkbox", checked: state.flip, onchange: () => change({ flip: flip.checked }) });
  const wanted = () => ({
    ...kernel.asked(), border: state.border, divisor: state.divisor, offset: state.offset, signed: state.signed, flip: state.flip,
    stride: state.stride,
  });
  const pictures = source({ refused: (text) => say("picture", text), taken });

  root.append(
    element("p", { class: "explain" }, "The kernel stands on every pixel in turn: its numbers times the pixels under it, added up, are the new pixel. ",
      "Change a number, drop or paste a picture, and point at the result to see the sum; a click keeps the pixel."),
    element("div", { class: "columns" },
      element("div", {}, pictures.controls, kernel.controls,
        group("How", border, offset, signed, stride,
          field("flip the kernel", flip, "off: correlation, what networks compute; on: signal processing’s convolution"))),
      element("div", {},
        facts,
        element("div", { class: "pictures" },
          element("figure", {}, stage(original, seen), element("figcaption", {}, "the picture")),
          element("figure", {}, stage(result, made), element("figcaption", {}, "the result"))),
        refusal,
        ...copies({ wanted, refused: (text) => say("result", text) }),
        cost, kernel.far, sums)));

  /** Divide by what the field says, or by the kernel's sum, as the library adds it up. */
  async function divide(typed) {
    const old = shown(state.divisor, 12);
    if (typed) {
      const value = typed.valueAsNumber;
      if (value && typed.checkValidity()) return change({ divisor: value });
      divisor.value = state.divisor;
      return say("setting", `divisor: use a number from ${shown(-1e6)} to ${shown(1e6)} other than 0; ${old} stays`);
    }
    try {
      const found = await askLatest("lab", "numbers", { text: kernel.text() });
      if (found === superseded) return undefined;
      if (found.total === 0) return say("setting", `the weights sum to 0, by which nothing can be divided; ${old} stays`);
      divisor.value = found.total;
      return change({ divisor: found.total });
    } catch (error) { return say("setting", error.message); }
  }

  function change(next, push = true) {
    Object.assign(state, next);
    say("setting", "");
    keepAddress(push);
    filter();
  }

  function keepAddress(push) {
    remember({
      ...kernel.address(), border: state.border === "reflect" ? null : state.border, divisor: state.divisor === 1 ? null : state.divisor,
      offset: state.offset || null, signed: state.signed === "clip" ? null : state.signed, flip: state.flip ? 1 : null,
      stride: state.stride === 1 ? null : state.stride, at: state.at.length === 2 ? state.at.join(",") : null,
    }, { push });
  }

  async function filter() {
    if (!picture || !ready) return;
    const began = performance.now();
    try {
      const answer = await askLatest("lab", "run", { settings: wanted() });
      if (answer === superseded || gone) return;
      say("result", "");
      paint(result, answer);
      look(...(state.at.length === 2 ? state.at : looked));
      const spent = Object.entries(answer.seconds).map(([what, seconds]) => `${what} ${(1000 * seconds).toFixed(1)} ms`).join(", ");
      cost.textContent = `${answer.width} × ${answer.height} pixels; ${spent}, there and back ${(performance.now() - began).toFixed(0)} ms`;
    } catch (error) { say("result", error.message); }
  }

  function taken(next, own) {
    if (gone) return;
    picture = next;
    const [height, width] = picture.whole;
    const smaller = height === picture.height && width === picture.width ? "" : `, shown as ${picture.width} × ${picture.height}; saving takes all of it`;
    facts.textContent = [`${width} × ${height} pixels${smaller}`, ...picture.notes,
      own ? "your picture stays on this machine: a link holds the settings alone" : null].filter(Boolean).join(" · ");
    paint(original, picture);
    filter();
  }

  async function look(row, column) {
    if (row === undefined) return;
    looked = [row, column];
    if (row >= result.height || column >= result.width) { // of another picture
      sums.replaceChildren();
      for (const mark of [made, seen]) mark.classList.remove("placed");
      return;
    }
    try {
      const answer = await askLatest("lab", "pixel", { row, column, settings: wanted() });
      if (answer === superseded || gone) return;
      sums.replaceChildren(...explained(answer, row, column, state));
      for (const box of sums.querySelectorAll(".scroll")) if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; // for the arrow keys
      frame(made, result, [row, row], [column, column]);
      frame(seen, original, answer.rows, answer.columns);
    } catch (error) { sums.textContent = error.message; }
  }

  pointing(result, { look, kept: () => state.at, pin: (place) => { state.at = place; keepAddress(false); look(...place); } });

  await pictures.open();
  const found = await kernel.open();
  const unknown = said.setting;
  ready = true;
  if (values.k) filter();
  if (!found) say("setting", unknown);
  return () => {
    gone = true;
    pictures.close();
    kernel.close();
  };
}

function canvas(attributes) {
  const made = element("canvas", { class: "picture", role: "img", ...attributes });
  made.getContext("2d", { willReadFrequently: true }); // kept where its pixels come from, in memory
  return made;
}

/** A canvas with a frame over it; a long picture scrolls in its box. */
function stage(canvas, mark) {
  return element("div", { class: "scroll" }, element("div", { class: "stage" }, canvas, mark));
}

function paint(canvas, { height, width, blobs }) {
  canvas.height = height;
  canvas.width = width;
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(blobs[0]), width, height), 0, 0);
  const times = Math.max(1, Math.floor(LARGE / Math.max(height, width)));
  const long = Math.max(height, width) > LONG * Math.min(height, width);
  canvas.classList.toggle("enlarged", times > 1);
  canvas.classList.toggle("long", long);
  canvas.closest(".scroll").tabIndex = long ? 0 : -1;
  canvas.style.setProperty("--wide", `${times * width}px`);
  canvas.style.setProperty("--ratio", width / height);
}

function number(text, start) {
  const value = Number.parseFloat(text ?? start);
  return Number.isFinite(value) ? value : start;
}
