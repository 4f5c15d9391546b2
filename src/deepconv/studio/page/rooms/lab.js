// Any kernel on any picture: the result beside the original, and the sum behind each pixel.
import { ask, askLatest, superseded } from "../api.js";
import { copy, download, element, field, select, slider } from "../dom.js";
import { explained, frame } from "./pixel.js";
import { webcam } from "./webcam.js";

const BORDERS = [["reflect", "reflect (edge repeated)"], ["mirror", "mirror (edge not repeated)"], ["edge", "edge"], ["wrap", "wrap"],
  ["zero", "zero"], ["crop", "crop"]];
const SIGNED = [["clip", "cut off below black"], ["absolute", "without their sign"], ["grey", "around middle grey"], ["stretch", "stretched to the full range"]];
const MOST = 15;
let mine = null; // the person's picture, kept here so that it survives a broken line

export async function open(root, { values, remember }) {
  const state = {
    name: values.name ?? "sharpen", kernel: readGrid(values.k), border: values.border ?? "reflect", divisor: number(values.divisor, 1),
    offset: number(values.offset, 0), signed: values.signed ?? "clip", flip: values.flip === "1", stride: number(values.stride, 1),
    at: values.at?.split(",").map(Number).filter(Number.isInteger) ?? [],
  };
  let picture = null;
  let grid = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]];
  let both = false; // an effect of two kernels has no one grid
  let camera = null; // ends the webcam
  let gone = false;

  const refusal = element("p", { class: "refusal", role: "alert" });
  const facts = element("p", { class: "explain" });
  const original = element("canvas", { class: "picture", role: "img", "aria-label": "the picture" });
  const [seen, made] = [element("div", { class: "mark" }), element("div", { class: "mark" })]; // the window, and the pixel made of it
  const result = element("canvas", { class: "picture", role: "img", tabindex: 0,
    "aria-label": "the result; the arrow keys choose the pixel whose sum is shown" });
  const editor = element("div", { class: "scroll" });
  const sums = element("div", { role: "status", class: "pixel" });
  const cost = element("p", { class: "explain cost" });

  const { kernels } = await ask("lab", "catalogue");
  const presets = element("select", { onchange: () => choose(presets.value) },
    element("option", { value: "" }, "own numbers"),
    ...grouped(kernels).map(([group, members]) => element("optgroup", { label: group },
      ...members.map((kernel) => element("option", { value: kernel.name }, kernel.name)))));
  const settings = element("div", {});
  const does = element("p", { class: "explain" });
  const rows = slider("rows", { min: 1, max: MOST, value: 3, change: (value, push) => resize(value, grid[0].length, push) });
  const columns = slider("columns", { min: 1, max: MOST, value: 3, change: (value, push) => resize(grid.length, value, push) });
  const border = select("beyond the edge", { options: BORDERS, value: state.border, change: (value) => change({ border: value }) });
  const signed = select("negative results", { options: SIGNED, value: state.signed, change: (value) => change({ signed: value }) });
  const divisor = element("input", { type: "number", step: "any", value: state.divisor, onchange: () => change({ divisor: divisor.valueAsNumber || 1 }) });
  const offset = slider("offset", { min: -1, max: 1, step: 0.05, value: state.offset, change: (value, push) => change({ offset: value }, push) });
  const stride = slider("stride", { min: 1, max: 8, value: state.stride, change: (value, push) => change({ stride: value }, push) });
  const flip = element("input", { type: "checkbox", checked: state.flip, onchange: () => change({ flip: flip.checked }) });
  const file = element("input", { type: "file", accept: "image/*", onchange: () => file.files.length && bring(file.files[0]) });
  const lens = element("button", { "aria-pressed": "false", onclick: () => (camera ? stopCamera() : startCamera()) }, "Webcam");

  root.append(
    element("p", { class: "explain" }, "The kernel stands on every pixel in turn: its numbers times the pixels under it, added up, are the new pixel. ",
      "Change a number, drop or paste a picture, and point at the result to see the sum; a click keeps the pixel."),
    refusal,
    element("div", { class: "columns" },
      element("div", {},
        element("fieldset", {}, element("legend", {}, "Picture"), field("your own", file),
          element("div", { class: "buttons" }, lens, element("button", { onclick: () => { stopCamera(); mine = null; take(null); } }, "The cat"))),
        element("fieldset", {}, element("legend", {}, "Kernel"), field("preset", presets), does, settings, editor, rows, columns,
          field("divisor", divisor), element("div", { class: "buttons" },
            element("button", { onclick: divide }, "divide by the sum"))),
        element("fieldset", {}, element("legend", {}, "How"), border, offset, signed, stride,
          field("flip the kernel", flip, "off: correlation, what networks compute; on: signal processing’s convolution"))),
      element("div", {},
        facts,
        element("div", { class: "pictures" },
          element("figure", {}, element("div", { class: "stage" }, original, seen), element("figcaption", {}, "the picture")),
          element("figure", {}, element("div", { class: "stage" }, result, made), element("figcaption", {}, "the result"))),
        element("div", { class: "buttons" },
          element("button", { class: "main", onclick: keep }, "Save the result"),
          element("button", { onclick: (event) => taken("python", event.currentTarget) }, "Copy as Python"),
          element("button", { onclick: (event) => taken("command", event.currentTarget) }, "Copy as command"),
          element("button", { onclick: (event) => copy(location.href, event.currentTarget) }, "Copy the link")),
        cost, sums)));

  const wanted = () => ({
    ...(both ? { name: state.name } : { kernel: grid }), border: state.border, divisor: state.divisor, offset: state.offset,
    signed: state.signed, flip: state.flip, stride: state.stride,
  });

  /** Divide by the kernel's sum, as the library adds it up; one of zero stays as it is. */
  async function divide() {
    try {
      const { total } = await ask("lab", "numbers", { text: both ? state.name : written(" ", "; ") });
      divisor.value = total === 0 ? 1 : total;
      change({ divisor: divisor.valueAsNumber });
    } catch (error) { refusal.textContent = error.message; }
  }

  const written = (between, rows) => grid.map((row) => row.join(between)).join(rows);

  function change(next, push = true) {
    Object.assign(state, next);
    keepAddress(push);
    filter();
  }

  function keepAddress(push) {
    const own = state.name === "";
    remember({
      name: own ? null : state.name === "sharpen" ? null : state.name, k: own ? written(" ", ";") : null,
      border: state.border === "reflect" ? null : state.border, divisor: state.divisor === 1 ? null : state.divisor, offset: state.offset || null,
      signed: state.signed === "clip" ? null : state.signed, flip: state.flip ? 1 : null, stride: state.stride === 1 ? null : state.stride, at: state.at.length === 2 ? state.at.join(",") : null,
    }, { push });
  }

  /** Take up a named kernel, with its settings: `name` may hold them, as in "gaussian sigma=2". */
  async function choose(name, { push = true } = {}) {
    if (!name) { state.name = ""; keepAddress(push); return; }
    try {
      const found = await ask("lab", "numbers", { text: name });
      refusal.textContent = "";
      state.name = name;
      both = found.kernels.length > 1;
      grid = found.kernels[0];
      if (push) state.signed = found.view;
      signed.set(state.signed);
      offer(name);
      draw();
      keepAddress(push);
      filter();
    } catch (error) { refusal.textContent = error.message; }
  }

  /** Show the settings of the chosen kernel. */
  function offer(name) {
    const [base, ...given] = name.split(" ");
    const known = kernels.find((kernel) => kernel.name === base);
    presets.value = known ? base : "";
    does.textContent = known ? `${known.does}: ${known.formula.replaceAll("-", "−")}` : "";
    const now = Object.fromEntries(given.map((part) => part.split("=")));
    settings.replaceChildren(...(known?.settings ?? []).map((setting) => {
      const again = (value) => {
        if (value === "") delete now[setting.name];
        else now[setting.name] = value;
        choose([base, ...Object.entries(now).map(([key, text]) => `${key}=${text}`)].join(" "));
      };
      if (setting.words.length) {
        return select(setting.name, { options: setting.words.map((word) => [String(word), String(word)]),
          value: now[setting.name] ?? String(setting.default), change: again });
      }
      const input = element("input", { type: "text", value: now[setting.name] ?? setting.default ?? "", placeholder: "auto", size: 6 });
      input.addEventListener("change", () => again(input.value.trim()));
      return field(setting.name, input, setting.meaning);
    }));
  }

  function draw() {
    rows.set(grid.length);
    columns.set(grid[0].length);
    editor.replaceChildren(element("table", { class: "numbers editor" }, element("caption", {}, both ? "the first of its two kernels" : "the kernel"),
      element("tbody", {}, ...grid.map((row, i) => element("tr", {}, ...row.map((value, j) => {
        const input = element("input", { type: "number", step: "any", value: short(value), "aria-label": `row ${i + 1}, column ${j + 1}`, disabled: both });
        input.addEventListener("input", () => {
          if (!Number.isFinite(input.valueAsNumber)) return;
          grid[i][j] = input.valueAsNumber;
          own(!typing);
          typing = true;
        });
        let typing = false; // one step back undoes all that was typed in one cell
        input.addEventListener("change", () => { typing = false; });
        return element("td", { class: "weights" }, input);
      }))))));
  }

  /** From now on the grid's numbers are the person's own. */
  function own(push) {
    both = false;
    state.name = "";
    presets.value = "";
    does.textContent = "";
    settings.replaceChildren();
    keepAddress(push);
    filter();
  }

  function resize(height, width, push) {
    const old = grid;
    const [top, left] = [Math.floor((height - old.length) / 2), Math.floor((width - old[0].length) / 2)];
    grid = Array.from({ length: height }, (_, i) => Array.from({ length: width }, (__, j) => old[i - top]?.[j - left] ?? 0));
    draw();
    own(push);
  }

  async function filter() {
    if (!picture) return;
    const began = performance.now();
    try {
      const answer = await askLatest("lab", "run", { settings: wanted() });
      if (answer === superseded || gone) return;
      refusal.textContent = "";
      paint(result, answer);
      look(...state.at);
      const spent = Object.entries(answer.seconds).map(([what, seconds]) => `${what} ${(1000 * seconds).toFixed(1)} ms`).join(", ");
      cost.textContent = `${answer.width} × ${answer.height} pixels; ${spent}, there and back ${(performance.now() - began).toFixed(0)} ms`;
    } catch (error) { refusal.textContent = error.message; }
  }

  /** A picture of one's own: dropped, pasted or chosen. */
  function bring(found) {
    stopCamera();
    return take(found);
  }

  async function take(source) {
    try {
      if (source) mine = await source.arrayBuffer();
      picture = await ask("lab", "load", {}, mine ? [mine] : []);
      if (gone) return;
      refusal.textContent = "";
      const [height, width] = picture.whole;
      const smaller = height === picture.height && width === picture.width ? "" : `, shown as ${picture.width} × ${picture.height}; saving takes all of it`;
      facts.textContent = [`${width} × ${height} pixels${smaller}`, ...picture.notes,
        mine ? "your picture stays on this machine: a link holds the settings alone" : null].filter(Boolean).join(" · ");
      paint(original, picture);
      filter();
    } catch (error) { refusal.textContent = error.message; }
  }

  async function look(row, column) {
    if (row === undefined || row >= result.height || column >= result.width) return;
    try {
      const answer = await askLatest("lab", "pixel", { row, column, settings: wanted() });
      if (answer === superseded || gone) return;
      const shades = result.getContext("2d").getImageData(column, row, 1, 1).data;
      sums.replaceChildren(...explained(answer, row, column, { shades, divisor: state.divisor, offset: state.offset }));
      frame(made, result, [row, row], [column, column]);
      frame(seen, original, answer.rows, answer.columns);
    } catch (error) { sums.textContent = error.message; }
  }

  const pointed = (event) => {
    const box = result.getBoundingClientRect();
    return [Math.floor((event.clientY - box.top) / box.height * result.height), Math.floor((event.clientX - box.left) / box.width * result.width)]
      .map((index, axis) => clamp(index, [result.height, result.width][axis] - 1));
  };
  const pin = (place) => { state.at = place; keepAddress(false); look(...place); };
  result.addEventListener("pointermove", (event) => look(...pointed(event)));
  result.addEventListener("pointerleave", () => look(...state.at));
  result.addEventListener("click", (event) => pin(pointed(event)));
  result.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const far = event.shiftKey ? 10 : 1;
    const [row, column] = state.at.length === 2 ? state.at : [0, 0];
    pin([clamp(row + far * step[0], result.height - 1), clamp(column + far * step[1], result.width - 1)]);
  });

  async function keep() {
    try {
      const { blobs } = await ask("lab", "save", { settings: wanted() });
      download(new Blob(blobs, { type: "image/png" }), "filtered.png");
    } catch (error) { refusal.textContent = error.message; }
  }

  async function taken(kind, button) {
    try {
      const answer = await askLatest("lab", "words", { settings: wanted() });
      if (answer === superseded) return;
      if (answer[kind] === null) refusal.textContent = "deepconv filter has no stride; copy as Python, or set stride to 1.";
      else await copy(answer[kind], button);
    } catch (error) { refusal.textContent = error.message; }
  }

  async function startCamera() {
    try {
      camera = await webcam((frame) => take(frame));
      lens.setAttribute("aria-pressed", "true");
    } catch (error) { refusal.textContent = `The webcam can’t be used: ${error.message}`; }
  }

  function stopCamera() {
    camera?.();
    camera = null;
    lens.setAttribute("aria-pressed", "false");
  }

  const dropped = (event) => {
    const [found] = [...(event.dataTransfer ?? event.clipboardData).files];
    if (found) { event.preventDefault(); bring(found); }
  };
  const over = (event) => event.preventDefault();
  addEventListener("dragover", over);
  addEventListener("drop", dropped);
  addEventListener("paste", dropped);

  if (state.kernel) {
    grid = state.kernel;
    state.name = "";
    draw();
  }
  await take(null);
  if (!state.kernel) await choose(state.name, { push: false });
  return () => {
    gone = true;
    stopCamera();
    removeEventListener("dragover", over);
    removeEventListener("drop", dropped);
    removeEventListener("paste", dropped);
  };
}

function paint(canvas, { height, width, blobs }) {
  canvas.height = height;
  canvas.width = width;
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(new ImageData(new Uint8ClampedArray(blobs[0]), width, height), 0, 0);
}

function grouped(kernels) {
  const groups = new Map();
  for (const kernel of kernels) groups.set(kernel.group, [...(groups.get(kernel.group) ?? []), kernel]);
  return [...groups];
}

/** Read the grid that stands in the address: rows by ";", numbers by " ". */
function readGrid(text) {
  const rows = text?.split(";").map((row) => row.trim().split(/\s+/).map(Number));
  const fine = rows?.length <= MOST && rows.every((row) => row.length === rows[0].length && row.length <= MOST && row.every(Number.isFinite));
  return fine ? rows : null;
}

function number(text, start) {
  const value = Number.parseFloat(text ?? start);
  return Number.isFinite(value) ? value : start;
}

const clamp = (value, most) => Math.min(most, Math.max(0, value));
const short = (value) => (Number.isInteger(value) ? value : Number(value.toPrecision(5)));
