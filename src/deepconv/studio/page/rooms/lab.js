// Any kernel on any picture: the result beside the original, and the sum behind each pixel.
import { ask, askLatest, superseded } from "../api.js";
import { copy, download, element, field, select, shown, slider } from "../dom.js";

const BORDERS = [["reflect", "reflect (edge repeated)"], ["mirror", "mirror (edge not repeated)"], ["edge", "edge"], ["wrap", "wrap"],
  ["zero", "zero"], ["crop", "crop"]];
const SIGNED = [["clip", "cut off below black"], ["absolute", "without their sign"], ["grey", "around middle grey"], ["stretch", "stretched to the full range"]];
const MOST = 15;
let mine = null; // the person's picture, kept here so that it survives a broken line

export async function open(root, { values, remember, complain }) {
  const state = {
    name: values.name ?? "sharpen", kernel: readGrid(values.k), border: values.border ?? "reflect", divisor: number(values.divisor, 1),
    offset: number(values.offset, 0), signed: values.signed ?? "clip", flip: values.flip === "1", stride: number(values.stride, 1),
  };
  let picture = null;
  let grid = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]];
  let both = false; // an effect of two kernels has no one grid
  let camera = null;
  let gone = false;

  const refusal = element("p", { class: "refusal", role: "alert" });
  const facts = element("p", { class: "explain" });
  const original = element("canvas", { class: "picture", role: "img", "aria-label": "the picture" });
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
  const rows = slider("rows", { min: 1, max: MOST, value: 3, change: (value) => resize(value, grid[0].length) });
  const columns = slider("columns", { min: 1, max: MOST, value: 3, change: (value) => resize(grid.length, value) });
  const border = select("beyond the edge", { options: BORDERS, value: state.border, change: (value) => change({ border: value }) });
  const signed = select("negative results", { options: SIGNED, value: state.signed, change: (value) => change({ signed: value }) });
  const divisor = element("input", { type: "number", step: "any", value: state.divisor, onchange: () => change({ divisor: divisor.valueAsNumber || 1 }) });
  const offset = slider("offset", { min: -1, max: 1, step: 0.05, value: state.offset, change: (value) => change({ offset: value }, false) });
  const stride = slider("stride", { min: 1, max: 8, value: state.stride, change: (value) => change({ stride: value }, false) });
  const flip = element("input", { type: "checkbox", checked: state.flip, onchange: () => change({ flip: flip.checked }) });
  const file = element("input", { type: "file", accept: "image/*", onchange: () => file.files.length && take(file.files[0]) });
  const webcam = element("button", { "aria-pressed": "false", onclick: () => (camera ? stopCamera() : startCamera()) }, "Webcam");

  root.append(
    element("p", { class: "explain" }, "The kernel stands on every pixel in turn: its numbers times the pixels under it, added up, are the new pixel. ",
      "Change a number, drop or paste a picture, and point at the result to see the sum."),
    refusal,
    element("div", { class: "columns" },
      element("div", {},
        element("fieldset", {}, element("legend", {}, "Picture"), field("your own", file),
          element("div", { class: "buttons" }, webcam, element("button", { onclick: () => { mine = null; take(null); } }, "The cat"))),
        element("fieldset", {}, element("legend", {}, "Kernel"), field("preset", presets), does, settings, editor, rows, columns,
          field("divisor", divisor), element("div", { class: "buttons" },
            element("button", { onclick: () => { divisor.value = total(); change({ divisor: divisor.valueAsNumber || 1 }); } }, "divide by the sum"))),
        element("fieldset", {}, element("legend", {}, "How"), border, offset, signed, stride,
          field("flip the kernel", flip, "off: correlation, what networks compute; on: signal processing’s convolution"))),
      element("div", {},
        facts,
        element("div", { class: "pictures" },
          element("figure", {}, original, element("figcaption", {}, "the picture")),
          element("figure", {}, result, element("figcaption", {}, "the result"))),
        cost, sums,
        element("div", { class: "buttons" },
          element("button", { class: "main", onclick: keep }, "Save the result"),
          element("button", { onclick: (event) => taken("python", event.currentTarget) }, "Copy as Python"),
          element("button", { onclick: (event) => taken("command", event.currentTarget) }, "Copy as command"),
          element("button", { onclick: (event) => copy(location.href, event.currentTarget) }, "Copy the link")))));

  const wanted = () => ({
    ...(both ? { name: state.name } : { kernel: grid }), border: state.border, divisor: state.divisor, offset: state.offset,
    signed: state.signed, flip: state.flip, stride: state.stride,
  });
  const total = () => (lastTotal === 0 ? 1 : lastTotal);
  let lastTotal = 1;

  function change(next, push = true) {
    Object.assign(state, next);
    keepAddress(push);
    filter();
  }

  function keepAddress(push) {
    const own = state.name === "";
    remember({
      name: own ? null : state.name === "sharpen" ? null : state.name, k: own ? grid.map((row) => row.join(" ")).join(";") : null,
      border: state.border === "reflect" ? null : state.border, divisor: state.divisor === 1 ? null : state.divisor, offset: state.offset || null,
      signed: state.signed === "clip" ? null : state.signed, flip: state.flip ? 1 : null, stride: state.stride === 1 ? null : state.stride,
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
      lastTotal = found.total;
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
    does.textContent = known ? `${known.does}. ${known.formula}` : "";
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
          own();
        });
        return element("td", { class: "weights" }, input);
      }))))));
  }

  /** From now on the grid's numbers are the person's own. */
  function own() {
    both = false;
    state.name = "";
    presets.value = "";
    does.textContent = "";
    settings.replaceChildren();
    keepAddress(false);
    filter();
  }

  function resize(height, width) {
    const old = grid;
    const [top, left] = [Math.floor((height - old.length) / 2), Math.floor((width - old[0].length) / 2)];
    grid = Array.from({ length: height }, (_, i) => Array.from({ length: width }, (__, j) => old[i - top]?.[j - left] ?? 0));
    draw();
    own();
  }

  async function filter() {
    if (!picture) return;
    const began = performance.now();
    try {
      const answer = await askLatest("lab", "run", { settings: wanted() });
      if (answer === superseded || gone) return;
      refusal.textContent = "";
      paint(result, answer);
      const spent = Object.entries(answer.seconds).map(([what, seconds]) => `${what} ${(1000 * seconds).toFixed(1)} ms`).join(", ");
      cost.textContent = `${answer.width} × ${answer.height} pixels; ${spent}, there and back ${(performance.now() - began).toFixed(0)} ms`;
    } catch (error) { refusal.textContent = error.message; }
  }

  async function take(source) {
    try {
      if (source) mine = await source.arrayBuffer();
      picture = await ask("lab", "load", {}, mine ? [mine] : []);
      if (gone) return;
      refusal.textContent = "";
      const [height, width] = picture.whole;
      const smaller = height === picture.height && width === picture.width ? "" : `, shown as ${picture.width} × ${picture.height}; saving takes all of it`;
      facts.textContent = [`${width} × ${height} pixels${smaller}`, ...picture.notes].join(" · ");
      paint(original, picture);
      filter();
    } catch (error) { refusal.textContent = error.message; }
  }

  async function look(row, column) {
    try {
      const answer = await askLatest("lab", "pixel", { row, column, settings: wanted() });
      if (answer === superseded || gone) return;
      const names = answer.sums.length === 3 ? ["red", "green", "blue"] : ["grey"];
      const table = (caption, values, kind) => element("table", { class: "numbers" }, element("caption", {}, caption), element("tbody", {},
        ...values.map((line) => element("tr", {}, ...line.map((value) => element("td", { class: kind }, shown(value, 2)))))));
      const few = answer.weights.length * answer.weights[0].length <= 81;
      sums.replaceChildren(
        element("h3", {}, `row ${row}, column ${column}: `, answer.sums.map((sum, c) => `${names[c]} ${shown(sum, 2)}`).join(", "),
          answer.kernels > 1 ? " (of the first kernel)" : ""),
        ...(few ? answer.window.map((plane, c) => element("div", { class: "grids" }, table(`${names[c]}: pixels`, plane, "input"),
          element("span", { class: "sign" }, "×"), table("weights", answer.weights, "weights"), element("span", { class: "sign" }, "→"),
          table(`products, sum ${shown(answer.sums[c], 2)}`, answer.products[c], "output"))) : []));
    } catch (error) { sums.textContent = error.message; }
  }

  let at = [0, 0];
  result.addEventListener("pointermove", (event) => {
    const box = result.getBoundingClientRect();
    at = [Math.floor((event.clientY - box.top) / box.height * result.height), Math.floor((event.clientX - box.left) / box.width * result.width)];
    look(...at);
  });
  result.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const far = event.shiftKey ? 10 : 1;
    at = [clamp(at[0] + far * step[0], result.height - 1), clamp(at[1] + far * step[1], result.width - 1)];
    look(...at);
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
      if (answer !== superseded) await copy(answer[kind] ?? "the command has no stride", button);
    } catch (error) { refusal.textContent = error.message; }
  }

  async function startCamera() {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
      const video = element("video", { muted: true, playsinline: "" });
      video.srcObject = stream;
      await video.play();
      camera = { stream, video };
      webcam.setAttribute("aria-pressed", "true");
      while (camera && !gone) {
        const frame = element("canvas", { width: video.videoWidth, height: video.videoHeight });
        frame.getContext("2d").drawImage(video, 0, 0);
        const jpeg = await new Promise((done) => { frame.toBlob(done, "image/jpeg", 0.9); });
        await take(jpeg);
        await new Promise((done) => { setTimeout(done, 30); });
      }
    } catch (error) { refusal.textContent = `The webcam can’t be used: ${error.message}`; }
  }

  function stopCamera() {
    camera?.stream.getTracks().forEach((track) => track.stop());
    camera = null;
    webcam.setAttribute("aria-pressed", "false");
  }

  const dropped = (event) => {
    const [found] = [...(event.dataTransfer ?? event.clipboardData).files];
    if (found) { event.preventDefault(); take(found); }
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
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(blobs[0]), width, height), 0, 0);
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
