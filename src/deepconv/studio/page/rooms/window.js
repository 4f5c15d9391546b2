// The window slides over a small grid of numbers; pointing at anything lights its kin.
import { element, shown, slider } from "../dom.js";
import { Example } from "./example.js";
import { columnsTable, imageTables, Kinship, matrixTable, outputTables, weightTables } from "./grids.js";

export async function open(root, { values, remember }) {
  const words = element("p", { class: "explain", role: "status" });
  const refusal = element("p", { class: "refusal", role: "alert" });
  const formula = element("p", { class: "formula" });
  const sum = element("p", { class: "sum" });
  const grids = element("div", { class: "grids" });
  const matrices = element("div", { class: "grids" });
  const kin = new Kinship((text) => { words.textContent = text; });
  let timer = null;

  const example = new Example(values, {
    remember,
    refused: (message) => { refusal.textContent = message; },
    changed: (made) => { refusal.textContent = ""; draw(made); },
  });

  const scrub = slider("window", { min: 1, max: 1, value: 1, change: (value) => show(value - 1) });
  const play = element("button", { class: "main", "aria-pressed": "false", onclick: () => (timer ? stop() : start()) }, "Play");
  const step = (by) => () => { stop(); const count = example.answer?.cells.length ?? 1; show((example.settings.at + by + count) % count); };
  const player = element("div", { class: "buttons" }, play, element("button", { onclick: step(-1) }, "Step back"),
    element("button", { onclick: step(1) }, "Step"));

  root.append(
    element("p", { class: "explain" }, "Every number of the output is a sum: the window's numbers times the weights. ",
      "Point at any cell, or walk there with the arrow keys, to see its kin; double-click or press Enter to change a number."),
    element("div", { class: "columns" },
      element("div", {}, example.controls({ transposed: true })),
      element("div", {}, refusal, formula, player, scrub, sum, words, grids, element("h3", {}, "As a matrix"), matrices)));

  function start() {
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => show((example.settings.at + 1) % (example.answer?.cells.length ?? 1)), 700);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  function show(place) {
    example.settings.at = place;
    scrub.set(place + 1);
    kin.hold({ place, filter: example.settings.t ? undefined : 0 });
    sum.replaceChildren(...terms(place));
    example.mark();
  }

  /** The products and their sum for the first filter, with the library's numbers. */
  function terms(place) {
    const { answer, settings } = example;
    if (settings.t) return ["The kernel is stamped here once for each channel, times the input's number; where stamps overlap they add up."];
    const products = answer.columns[place].map((value, tap) => `${shown(value)}·${shown(answer.matrix[tap][0])}`);
    const listed = products.length > 27 ? [...products.slice(0, 27), "…"] : products;
    return [`${listed.join(" + ")} + ${shown(example.bias[0])} = `, element("strong", {}, shown(answer.product[place][0]))];
  }

  function draw({ answer, settings }) {
    const edit = (list) => (index, value) => example.put(list, index, value);
    kin.start(answer.cells);
    formula.textContent = `output size: ${answer.formula}${settings.t ? " is the input’s; the output’s solves for it" : ""}`;
    const shape = settings.t
      ? [...outputTables(kin, chunk(example.image, example.imageSizes), { name: "input", kind: "input", edit: edit("x") }),
        ...weightTables(kin, chunk(example.weight, example.weightSizes), { edit: edit("wt"), transposed: true }),
        ...imageTables(kin, answer.padded, answer.padding, { name: "output", kind: "output" })]
      : [...imageTables(kin, answer.padded, answer.padding, { name: "input", kind: "input", edit: edit("x") }),
        ...weightTables(kin, chunk(example.weight, example.weightSizes), { edit: edit("wt") }),
        ...outputTables(kin, answer.y, { name: "output" })];
    grids.replaceChildren(...shape);
    matrices.replaceChildren(...(settings.t ? [columnsTable(kin, answer.stamps, { name: "the stamps, one in each row" })]
      : [columnsTable(kin, answer.columns, { name: "what the window sees, one place in each row" }), matrixTable(kin, answer.matrix)]));
    const input = scrub.querySelector("input");
    input.max = answer.cells.length;
    show(Math.min(settings.at, answer.cells.length - 1));
  }

  await example.compute();
  return stop;
}

export function chunk(flat, sizes) {
  if (sizes.length === 1) return flat;
  const each = flat.length / sizes[0];
  return Array.from({ length: sizes[0] }, (_, index) => chunk(flat.slice(index * each, (index + 1) * each), sizes.slice(1)));
}
