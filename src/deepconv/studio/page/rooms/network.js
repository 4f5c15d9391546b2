// My network: trained here or loaded; what it says of a drawing or a picture, layer by layer, and why.
import { ask, askLatest, on, superseded } from "../api.js";
import { element, field, shown } from "../dom.js";
import { heatmap, map, paint, walkable } from "./maps.js";

const SIDE = 200; // pixels of the drawing's sides
const kept = { history: [], drawn: null, last: null }; // so that leaving the room and coming back loses nothing

export async function open(root, { values, remember }) {
  const refusal = element("p", { class: "refusal", role: "alert" });
  const about = element("div", {});
  const news = element("p", { role: "status", class: "explain" });
  const curves = element("canvas", { class: "curves", width: 560, height: 180, role: "img", "aria-label": "loss and accuracy by epoch" });
  const filters = element("div", { class: "maps", role: "group", "aria-label": "the first layer's filters" });
  const paper = element("canvas", { class: "paper", width: SIDE, height: SIDE, tabindex: 0, role: "img",
    "aria-label": "draw a digit here; with the keyboard: arrow keys move the pen, Space puts it down or up" });
  const verdict = element("div", { role: "status", class: "verdict" });
  const layers = element("div", { class: "layers" });
  const detail = element("div", { role: "status", class: "detail" });
  const epochs = element("input", { type: "number", min: 1, max: 200, value: values.epochs ?? 15 });
  const seed = element("input", { type: "number", min: 0, value: values.seed ?? 0 });
  const begin = element("button", { class: "main", onclick: () => train(false) }, "Train the digits");
  const resume = element("button", { onclick: () => train(true) }, "Go on with a stopped run");
  const pause = element("button", { disabled: true, onclick: () => control(pause.textContent === "Pause" ? "pause" : "resume") }, "Pause");
  const stop = element("button", { disabled: true, onclick: () => control("stop") }, "Stop");
  const file = element("input", { type: "file", accept: ".safetensors", onchange: () => file.files.length && load(file.files[0]) });
  const picture = element("input", { type: "file", accept: "image/*", onchange: async () => {
    if (picture.files.length) look({}, [await picture.files[0].arrayBuffer()]);
  } });
  let last = kept.last; // the picture that was asked about, for when the network changes
  let ready = false;
  let gone = false;
  let layout = ""; // names and sizes of the layers that are shown
  const warm = element("section", {});

  root.append(
    element("p", { class: "explain" }, "Train a network on handwritten digits here, or load a model file from deepconv train. Then draw: every layer’s answer is shown as you do, ",
      "and the pixels that mattered. Point at an activation to see the window and the weights that made it."),
    refusal,
    element("div", { class: "columns" },
      element("div", {},
        element("fieldset", {}, element("legend", {}, "Train"), field("epochs", epochs), field("seed", seed),
          element("div", { class: "buttons" }, begin, pause, stop, resume)),
        element("fieldset", {}, element("legend", {}, "Load"), field("a model file", file)),
        element("fieldset", {}, element("legend", {}, "Show it"), paper,
          element("div", { class: "buttons" }, element("button", { onclick: clear }, "Clean paper")), field("or a picture", picture)),
        about),
      element("div", {}, news, curves, element("h3", {}, "The first layer’s filters"), filters,
        element("h3", {}, "What it says"), verdict, element("h3", {}, "Layer by layer"),
        element("p", { class: "explain" }, "Orange is above zero, blue below. Click a number of a map to see what made it; with the keyboard, ",
          "the arrow keys walk from map to map, and Enter takes the strongest place of one."), layers, detail)));

  const ends = [
    on("network", "batch", ({ epoch, fraction, loss }) => {
      news.textContent = `epoch ${epoch}, ${Math.round(100 * fraction)} % done, loss ${shown(loss)}`;
    }),
    on("network", "epoch", (record, blobs) => {
      kept.history.push(record);
      drawCurves();
      drawFilters(record.filters, blobs[0]);
      again();
    }),
    on("network", "end", (found) => {
      going(false);
      if (found.error) refusal.textContent = found.error;
      else if (found.stopped) news.textContent = `Stopped; ${found.checkpoint} holds the run, and “Go on” continues it.`;
      else news.textContent = `${(100 * found.accuracy).toFixed(2)} % of the held-out digits are right; saved as ${found.model}.`;
      again();
    }),
  ];

  function going(is, paused = false) {
    begin.disabled = is;
    resume.disabled = is;
    pause.disabled = !is;
    stop.disabled = !is;
    pause.textContent = paused ? "Go on" : "Pause";
  }

  async function train(goOn) {
    try {
      refusal.textContent = "";
      remember({ epochs: epochs.value, seed: seed.value }, { push: false });
      const run = await ask("network", "train", { epochs: epochs.valueAsNumber, seed: seed.valueAsNumber, resume: goOn });
      kept.history = [];
      going(true);
      ready = true;
      news.textContent = `Training; the run is kept in ${run.folder}.`;
      again();
    } catch (error) { refusal.textContent = error.message; }
  }

  async function control(action) {
    try {
      await ask("network", "control", { action });
      if (action === "pause") pause.textContent = "Go on";
      if (action === "resume") pause.textContent = "Pause";
    } catch (error) { refusal.textContent = error.message; }
  }

  async function load(chosen) {
    try {
      show(await ask("network", "load", { name: chosen.name }, [await chosen.arrayBuffer()]));
      refusal.textContent = "";
      again();
    } catch (error) { refusal.textContent = error.message; }
  }

  function show(found) {
    ready = found.model !== null;
    going(found.training, found.paused);
    if (!ready) { about.replaceChildren(); return; }
    about.replaceChildren(element("fieldset", {}, element("legend", {}, found.model), element("pre", {}, found.summary)));
    drawFilters(found.filters, found.blobs[0]);
  }

  // ---- what it says

  const again = () => last && look(...last);
  const span = ([start, end]) => `${start}–${end - 1}`;

  async function look(args, blobs) {
    last = [args, blobs];
    kept.last = last;
    if (!ready) return;
    try {
      const answer = await askLatest("network", "see", args, blobs);
      if (answer === superseded || gone) return;
      refusal.textContent = "";
      tell(answer);
    } catch (error) { verdict.textContent = error.message; }
  }

  function tell({ classes, layers: found, heat, blobs }) {
    const top = classes.slice(0, 10);
    verdict.replaceChildren(element("div", { class: "shares" }, ...top.flatMap(([name, share]) => [
      element("span", {}, name),
      element("meter", { min: 0, max: 1, value: share, "aria-label": `probability of ${name}` }),
      element("span", { class: "share" }, `${(100 * share).toFixed(1)} %`)])));
    showLayers(found, found.map((_, index) => new Float32Array(blobs[index])));
    if (!heat) { warm.replaceChildren(); return; }
    const [channels, height, width] = found[0].shown;
    warm.replaceChildren(element("h4", {}, `pixels that mattered for ${classes[0][0]}`),
      heatmap(new Float32Array(blobs.at(-1)), heat, new Float32Array(blobs[0]), [channels, height, width]));
  }

  /** Show every layer; where only the numbers are new, the maps that are there take them. */
  function showLayers(found, values) {
    const now = JSON.stringify(found.map(({ name, shown: sizes }) => [name, sizes]));
    if (now !== layout || !layers.children.length) {
      layout = now;
      layers.replaceChildren(...found.map((layer, index) => panel(layer, values[index])));
      layers.firstChild.after(warm);
      return;
    }
    [...layers.querySelectorAll(".maps")].forEach((group, index) => {
      const each = values[index].length / group.children.length;
      [...group.children].forEach((canvas, c) => paint(canvas, values[index].subarray(c * each, (c + 1) * each)));
    });
  }

  function panel({ name, kind, shape, shown: [count, height, width] }, values) {
    const flat = shape.length < 3;
    const more = !flat && shape[0] > count ? ` (the first ${count} maps)` : "";
    const step = flat ? 1 : Math.ceil(shape[1] / height);
    const point = (c) => (name === "input" ? null
      : flat ? (_, place) => explain(name, place, 0, 0) : (row, column) => explain(name, c, row * step, column * step));
    const maps = flat
      ? [map(values, 1, values.length, { label: `${name}: ${values.length} numbers`, point: point(0), scale: values.length > 64 ? 4 : 12 })]
      : Array.from({ length: count }, (_, c) => map(values.subarray(c * height * width, (c + 1) * height * width), height, width,
        { label: name === "input" ? `what the network sees, channel ${c + 1}` : `${kind || name}, map ${c + 1}`, point: point(c) }));
    const title = `${name}${kind ? ` ${kind}` : ""}: ${shape.join(" × ")}${more}`;
    return element("section", {}, element("h4", {}, title), walkable(element("div", { class: "maps", role: "group", "aria-label": title }, ...maps)));
  }

  async function explain(layer, channel, row, column) {
    try {
      const found = await askLatest("network", "unit", { layer, channel, row, column });
      if (found === superseded || gone) return;
      const table = (caption, rows, kind) => element("table", { class: "numbers" }, element("caption", {}, caption), element("tbody", {},
        ...rows.map((line) => element("tr", {}, ...line.map((value) => element("td", { class: kind }, shown(value, 2)))))));
      const parts = [];
      if (found.pixels) {
        parts.push(...found.pixels.slice(0, 3).map((plane, c) => table(`its window in the input${found.pixels.length > 1 ? `, channel ${c + 1}` : ""}`, plane, "input")));
      }
      if (found.weights && Array.isArray(found.weights[0])) {
        parts.push(...found.weights.slice(0, 4).map((plane, c) => table(`its weights on map ${c + 1} of ${found.weights.length}`, plane, "weights")));
      }
      const rows = found.window ? `; it sees rows ${span(found.window[0])}, columns ${span(found.window[1])} of the input` : "";
      const where = found.window ? `map ${channel + 1}, row ${row}, column ${column}` : `number ${channel + 1}`;
      detail.replaceChildren(element("p", {}, element("strong", {}, `layer ${layer}, ${where}: ${shown(found.value)}`), rows, " ",
        element("button", { onclick: () => detail.replaceChildren() }, "Close")),
        element("div", { class: "grids" }, ...parts));
    } catch (error) { detail.textContent = error.message; }
  }

  // ---- drawing

  const pen = paper.getContext("2d", { willReadFrequently: true });
  let at = [SIDE / 2, SIDE / 2];
  let down = false;

  function paintPaper() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, SIDE, SIDE);
  }

  function clear() {
    paintPaper();
    last = null;
    Object.assign(kept, { last, drawn: null });
    for (const part of [verdict, layers, detail]) part.replaceChildren();
  }

  function line(x, y) {
    pen.strokeStyle = "#111";
    pen.lineWidth = 18;
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(...at);
    pen.lineTo(x, y);
    pen.stroke();
    at = [x, y];
    kept.drawn = pen.getImageData(0, 0, SIDE, SIDE);
    const { data } = kept.drawn;
    const grey = new Uint8Array(SIDE * SIDE);
    for (let i = 0; i < grey.length; i++) grey[i] = data[4 * i];
    look({ height: SIDE, width: SIDE }, [grey.buffer]);
  }

  const place = (event) => {
    const box = paper.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
  };
  paper.addEventListener("pointerdown", (event) => {
    paper.setPointerCapture(event.pointerId);
    down = true;
    at = place(event);
    line(...at);
  });
  paper.addEventListener("pointermove", (event) => down && line(...place(event)));
  for (const name of ["pointerup", "pointercancel"]) paper.addEventListener(name, () => { down = false; });
  let inked = false;
  paper.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [0, -8], ArrowDown: [0, 8], ArrowLeft: [-8, 0], ArrowRight: [8, 0] }[event.key];
    if (event.key === " ") {
      inked = !inked;
      event.preventDefault();
    } else if (step) {
      event.preventDefault();
      const next = [at[0] + step[0], at[1] + step[1]].map((v) => Math.min(SIDE, Math.max(0, v)));
      if (inked) line(...next);
      else at = next;
    }
  });
  if (kept.drawn) pen.putImageData(kept.drawn, 0, 0);
  else if (!last) clear();
  else paintPaper();

  // ---- pictures of numbers

  function drawFilters(shape, data) {
    if (!shape?.length) { filters.replaceChildren(); return; }
    const values = new Float32Array(data);
    const [count, channels, height, width] = shape;
    const size = channels * height * width;
    filters.replaceChildren(...Array.from({ length: Math.min(count, 64) }, (_, k) =>
      element("figure", {}, map(values.subarray(k * size, k * size + height * width), height, width, { label: `filter ${k + 1}`, scale: 10 }),
        element("figcaption", { "aria-hidden": "true" }, k + 1))));
  }

  function drawCurves() {
    const [left, right, top, bottom] = [40, curves.width - 20, 14, curves.height - 46];
    const context = curves.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const records = kept.history;
    context.clearRect(0, 0, curves.width, curves.height);
    context.font = "13px sans-serif";
    const write = (text, x, y, name) => {
      context.fillStyle = style.getPropertyValue(name);
      context.fillText(text, x, y);
    };
    const plot = (values, most, name) => {
      context.strokeStyle = style.getPropertyValue(name);
      context.fillStyle = context.strokeStyle;
      context.lineWidth = 2;
      context.beginPath();
      values.forEach((value, index) => {
        const x = left + (index + 1) / Math.max(2, values.length) * (right - left);
        const y = top + (1 - value / most) * (bottom - top);
        context[index ? "lineTo" : "moveTo"](x, y);
        context.fillRect(x - 2, y - 2, 4, 4);
      });
      context.stroke();
    };
    context.strokeStyle = style.getPropertyValue("--rule");
    context.lineWidth = 1;
    context.strokeRect(left, top, right - left, bottom - top);
    const losses = records.map((record) => record.loss);
    const most = Math.max(...losses);
    plot(losses, most, "--input");
    plot(records.map((record) => record.validation_accuracy ?? 0), 1, "--output");
    write(shown(most, 2), 4, top + 10, "--input");
    write("0", 26, bottom, "--soft");
    const last = records.at(-1);
    const said = `after ${records.length} ${records.length === 1 ? "epoch" : "epochs"}: `;
    write(said, left, curves.height - 14, "--soft");
    write(`loss ${shown(last.loss)}`, left + 130, curves.height - 14, "--input");
    write(`validation accuracy ${(100 * (last.validation_accuracy ?? 0)).toFixed(1)} % of 100 %`, left + 240, curves.height - 14, "--output");
    curves.setAttribute("aria-label", `${said}loss ${shown(last.loss)}, validation accuracy ${(100 * (last.validation_accuracy ?? 0)).toFixed(1)} %`);
  }

  if (kept.history.length) drawCurves();
  try { show(await ask("network", "state")); } catch (error) { refusal.textContent = error.message; }
  again();
  return () => { gone = true; ends.forEach((end) => end()); };
}
