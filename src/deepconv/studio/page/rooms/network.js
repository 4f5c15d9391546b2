// My network: trained here or loaded; what it says of a drawing or a picture, layer by layer, and why.
import { ask, askLatest, on, superseded } from "../api.js";
import { element, field, shown } from "../dom.js";

const SIDE = 200; // pixels of the drawing's sides

export async function open(root, { values, remember }) {
  const refusal = element("p", { class: "refusal", role: "alert" });
  const about = element("div", {});
  const news = element("p", { role: "status", class: "explain" });
  const curves = element("canvas", { class: "curves", width: 560, height: 180, role: "img", "aria-label": "loss and accuracy by epoch" });
  const filters = element("div", { class: "maps", "aria-label": "the first layer's filters" });
  const paper = element("canvas", { class: "paper", width: SIDE, height: SIDE, tabindex: 0, role: "img",
    "aria-label": "draw a digit here; with the keyboard: arrow keys move the pen, Space puts it down or up" });
  const verdict = element("div", { role: "status", class: "verdict" });
  const layers = element("div", { class: "layers" });
  const detail = element("div", { role: "status" });
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
  let history = [];
  let last = null; // the picture that was asked about, for when the network changes
  let ready = false;
  let gone = false;

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
        element("h3", {}, "What it says"), verdict, element("h3", {}, "Layer by layer"), detail, layers)));

  const ends = [
    on("network", "batch", ({ epoch, fraction, loss }) => {
      news.textContent = `epoch ${epoch}, ${Math.round(100 * fraction)} % done, loss ${shown(loss)}`;
    }),
    on("network", "epoch", (record, blobs) => {
      history.push(record);
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

  function going(is) {
    begin.disabled = is;
    resume.disabled = is;
    pause.disabled = !is;
    stop.disabled = !is;
    pause.textContent = "Pause";
  }

  async function train(goOn) {
    try {
      refusal.textContent = "";
      remember({ epochs: epochs.value, seed: seed.value }, { push: false });
      const run = await ask("network", "train", { epochs: epochs.valueAsNumber, seed: seed.valueAsNumber, resume: goOn });
      history = [];
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
    going(found.training);
    if (!ready) { about.replaceChildren(); return; }
    about.replaceChildren(element("fieldset", {}, element("legend", {}, found.model), element("pre", {}, found.summary)));
    drawFilters(found.filters, found.blobs[0]);
  }

  // ---- what it says

  const again = () => last && look(...last);

  async function look(args, blobs) {
    last = [args, blobs];
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
    const panels = found.map((layer, index) => panel(layer, new Float32Array(blobs[index])));
    if (heat) {
      const values = new Float32Array(blobs.at(-1));
      panels.splice(1, 0, element("section", {}, element("h4", {}, "pixels that mattered"), heatmap(values, heat)));
    }
    layers.replaceChildren(...panels);
  }

  function panel({ name, kind, shape, shown: [count, height, width] }, values) {
    const maps = element("div", { class: "maps" });
    const flat = height === 1 && width > 1 ? [width] : null;
    const more = shape.length === 3 && shape[0] > count ? ` (the first ${count} maps)` : "";
    if (shape.length < 3) maps.append(map(values, 1, flat ? flat[0] : values.length, () => {}, 8));
    else for (let c = 0; c < count; c++) {
      const plane = values.subarray(c * height * width, (c + 1) * height * width);
      const step = Math.ceil(shape[1] / height);
      maps.append(map(plane, height, width, name === "input" ? null : (row, column) => explain(name, c, row * step, column * step)));
    }
    return element("section", {}, element("h4", {}, `${name}${kind ? ` ${kind}` : ""}: ${shape.join(" × ")}${more}`), maps);
  }

  async function explain(layer, channel, row, column) {
    try {
      const found = await askLatest("network", "unit", { layer, channel, row, column });
      if (found === superseded || gone) return;
      const table = (caption, rows, kind) => element("table", { class: "numbers" }, element("caption", {}, caption), element("tbody", {},
        ...rows.map((line) => element("tr", {}, ...line.map((value) => element("td", { class: kind }, shown(value, 2)))))));
      const parts = [];
      if (found.pixels) parts.push(...found.pixels.slice(0, 3).map((plane, c) => table(`its window in the input, channel ${c + 1}`, plane, "input")));
      if (found.weights && Array.isArray(found.weights[0])) {
        parts.push(...found.weights.slice(0, 4).map((plane, c) => table(`its weights on map ${c + 1}`, plane, "weights")));
      }
      const rows = found.window ? `; it sees rows ${found.window[0].join("–")}, columns ${found.window[1].join("–")} of the input` : "";
      detail.replaceChildren(element("p", {}, `${layer}, map ${channel + 1}, row ${row}, column ${column}: ${shown(found.value)}${rows}`),
        element("div", { class: "grids" }, ...parts));
    } catch (error) { detail.textContent = error.message; }
  }

  // ---- drawing

  const pen = paper.getContext("2d", { willReadFrequently: true });
  let at = [SIDE / 2, SIDE / 2];
  let down = false;

  function clear() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, SIDE, SIDE);
    last = null;
    verdict.replaceChildren();
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
    const { data } = pen.getImageData(0, 0, SIDE, SIDE);
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
  clear();

  // ---- pictures of numbers

  function drawFilters(shape, data) {
    if (!shape?.length) { filters.replaceChildren(); return; }
    const values = new Float32Array(data);
    const [count, channels, height, width] = shape;
    const size = channels * height * width;
    filters.replaceChildren(...Array.from({ length: Math.min(count, 64) }, (_, k) =>
      map(values.subarray(k * size, k * size + height * width), height, width, null, 8)));
  }

  function drawCurves() {
    const context = curves.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name);
    context.clearRect(0, 0, curves.width, curves.height);
    const plot = (values, most, name) => {
      context.strokeStyle = colour(name);
      context.lineWidth = 2;
      context.beginPath();
      values.forEach((value, index) => {
        const x = 40 + index / Math.max(1, values.length - 1) * (curves.width - 60);
        const y = 20 + (1 - value / most) * (curves.height - 50);
        context[index ? "lineTo" : "moveTo"](x, y);
      });
      context.stroke();
    };
    const losses = history.map((record) => record.loss);
    const most = Math.max(...losses);
    plot(losses, most, "--input");
    plot(history.map((record) => record.validation_accuracy ?? 0), 1, "--output");
    context.font = "12px sans-serif";
    context.fillStyle = colour("--input");
    context.fillText(`loss ${shown(losses.at(-1))}`, 40, curves.height - 8);
    context.fillStyle = colour("--output");
    context.fillText(`validation accuracy ${(100 * (history.at(-1).validation_accuracy ?? 0)).toFixed(1)} %`, 140, curves.height - 8);
  }

  try { show(await ask("network", "state")); } catch (error) { refusal.textContent = error.message; }
  return () => { gone = true; ends.forEach((end) => end()); };
}

/** One map of numbers as a small picture: blue below zero, orange above, paper at zero. */
function map(values, height, width, point, scale) {
  const canvas = element("canvas", { width, height, class: "map" });
  const most = Math.max(1e-12, ...values.map(Math.abs));
  const image = new ImageData(width, height);
  values.forEach((value, index) => {
    const share = value / most;
    const colour = share < 0 ? [47, 109, 179] : [224, 123, 57];
    for (let c = 0; c < 3; c++) image.data[4 * index + c] = 255 + Math.abs(share) * (colour[c] - 255);
    image.data[4 * index + 3] = 255;
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  const size = scale ?? Math.max(2, Math.min(12, Math.round(72 / Math.max(height, width))));
  canvas.style.width = `${width * size}px`;
  canvas.style.height = `${height * size}px`;
  if (point) {
    canvas.classList.add("pointed");
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      point(Math.floor((event.clientY - box.top) / box.height * height), Math.floor((event.clientX - box.left) / box.width * width));
    });
  }
  return canvas;
}

/** Shares from 0 to 1 as warmth. */
function heatmap(values, [height, width]) {
  const canvas = element("canvas", { width, height, class: "map", role: "img", "aria-label": "the pixels that mattered" });
  const image = new ImageData(width, height);
  values.forEach((value, index) => {
    image.data.set([255, 245 - 185 * value, 235 - 200 * value, 255], 4 * index);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  const size = Math.max(1, Math.round(128 / Math.max(height, width)));
  canvas.style.width = `${width * size}px`;
  canvas.style.height = `${height * size}px`;
  return canvas;
}
