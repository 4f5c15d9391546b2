// The window slides over a small grid of numbers; pointing at anything lights its kin.
import { element } from "../dom.js";
import { Example } from "./example.js";
import { columnsTable, imageTables, Kinship, matrixTable, outputTables, weightTables } from "./grids.js";
import { player } from "./player.js";
import { outputs, sizes } from "./sums.js";

const RULE = "⌊(image + padding before + padding after − dilation·(kernel − 1) − 1) / stride⌋ + 1";

export async function open(root, { values, remember }) {
  const words = element("p", { class: "explain", role: "status" });
  const refusal = element("p", { class: "refusal", role: "alert" });
  const formula = element("dl", { class: "formula" });
  const sum = element("div", { class: "sum" });
  const grids = element("div", { class: "grids" });
  const matrices = element("div", { class: "grids" });
  const kin = new Kinship((text) => { words.textContent = text; });
  const example = new Example(values, {
    remember,
    refused: (message) => { refusal.textContent = message; },
    changed: (made) => { refusal.textContent = ""; draw(made); },
  });
  const walk = player("window", { count: () => example.answer?.cells.length ?? 1, show });

  root.append(
    element("p", { class: "explain" }, "Every number of the output is a sum: the window’s numbers times the weights. ",
      "Point at any cell, or walk there with the arrow keys, to see its kin; double-click or press Enter to change a number."),
    element("div", { class: "columns" },
      element("div", {}, example.controls({ transposed: true })),
      element("div", {}, refusal, formula, ...walk.parts, sum, words, grids, element("h3", {}, "As a matrix"), matrices)));

  function show(place) {
    if (!example.answer) return;
    example.settings.at = place;
    kin.hold({ place });
    sum.replaceChildren(...terms(place));
    example.mark();
  }

  function terms(place) {
    const { answer, settings } = example;
    if (!settings.t) return outputs(answer, example.bias, place);
    return [`Input ${place + 1} stamps the kernel, times its number, on the lit cells; where stamps overlap they add up. `
      + `The ${settings.h * settings.w} stamps stand row by row in the matrix below.`];
  }

  function draw({ answer, settings }) {
    const edit = (list) => (index, value) => example.put(list, index, value);
    kin.start(answer.cells, settings.t ? "stamp" : "window");
    formula.replaceChildren(
      element("dt", {}, settings.t ? "the input, from the output" : "output size"), element("dd", {}, RULE),
      ...sizes(answer.formula).flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]));
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
    walk.at(settings.at);
  }

  await example.compute();
  return walk.end;
}

export function chunk(flat, sizes) {
  if (sizes.length === 1) return flat;
  const each = flat.length / sizes[0];
  return Array.from({ length: sizes[0] }, (_, index) => chunk(flat.slice(index * each, (index + 1) * each), sizes.slice(1)));
}
