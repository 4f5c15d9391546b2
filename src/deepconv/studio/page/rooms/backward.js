// The way back: where each input gradient comes from, the weights' gradient, and one step downhill.
import { element, shown, steady } from "../dom.js";
import { Example, nest } from "./example.js";
import { columnsTable, imageTables, Kinship, outputTables, weightTables } from "./grids.js";
import { line, outputs, product } from "./sums.js";

const PROMPT = "Point at a gradient to see what it is summed from; a click, or Space, keeps it in sight.";

export async function open(root, { values, remember }) {
  const words = element("p", { class: "explain", role: "status" });
  const sum = element("div", { class: "sum", role: "status" });
  const told = element("div", { class: "told" }, words, sum);
  const kin = new Kinship((text, about) => {
    words.textContent = text || PROMPT;
    sum.replaceChildren(...origin(about));
    steady(told);
  });
  const part = () => element("div", { class: "grids" });
  const [forward, back, matrix, weights, next] = [part(), part(), part(), part(), part()];
  const example = new Example({ ...values, t: "0" }, { remember, changed: draw });
  const ones = (value) => () => example.set({ dy: example.answer.dy.flat(2).map(() => value) });
  const single = () => example.set({ dy: example.answer.dy.flat(2).map((_, index) => (index === 0 ? 1 : 0)) });
  const stepping = element("button", { class: "main", onclick: () => example.set({
    wt: example.answer.step.weight.flat(3), b: example.answer.step.bias }) }, "Take the step");
  root.append(
    element("p", { class: "explain" }, "The output’s gradient goes back the way the numbers came: each window’s share is added to the pixels it was read from. ",
      "Change the output’s gradient, and point at an input gradient to see the windows that it is summed from. The browser’s Back undoes a step."),
    element("div", { class: "columns" },
      example.controls(),
      example.result(told,
        element("h3", {}, "The way there, and the output’s gradient"),
        element("div", { class: "buttons" }, element("button", { onclick: ones(1) }, "1 everywhere"),
          element("button", { onclick: single }, "1 in one place"), element("button", { onclick: ones(0) }, "0 everywhere")),
        forward,
        element("h3", {}, "The input’s gradient: the rows of dy · Wᵀ, added where they were read (col2im)"), back, matrix,
        element("h3", {}, "The weights’ gradient: windows times gradients; the bias’s: a sum"), weights,
        element("h3", {}, "One step of gradient descent: weights − rate · gradient"),
        example.rateField(), element("div", { class: "buttons" }, stepping), next)));

  function draw({ answer, weight, weightSizes, bias }) {
    kin.start(answer.cells);
    const edit = (list) => (index, value) => example.put(list, index, value);
    const row = (name, numbers, kind, change) => kin.table(name, 1, numbers.length, (_, k) => ({
      value: numbers[k], kind, about: { filter: k }, edit: change ? (value) => change(k, value) : null,
    }));
    forward.replaceChildren(
      ...outputTables(kin, answer.dy, { name: "dy", kind: "gradient", edit: edit("dy") }),
      ...weightTables(kin, nest(weight, weightSizes), { edit: edit("wt") }), row("b", bias, "weights", edit("b")),
      ...imageTables(kin, answer.padded, answer.padding, { name: "x", kind: "input", edit: edit("x") }),
      ...outputTables(kin, answer.y, { name: "output" }));
    back.replaceChildren(...inner(answer.dx, "dx", "gradient"), ...inner([answer.seen], "how many windows saw each pixel", "count"));
    matrix.replaceChildren(columnsTable(kin, answer.dcolumns, { name: "dy · Wᵀ, a row for each window", kind: "gradient" }));
    weights.replaceChildren(...weightTables(kin, answer.dw, { name: "dw", kind: "gradient" }), row("db", answer.db, "gradient"));
    next.replaceChildren(...weightTables(kin, answer.step.weight, { name: "new weights" }), row("new b", answer.step.bias, "weights"),
      ...outputTables(kin, answer.step.y, { name: "new output" }));
    steady(told, true);
    kin.hold(kin.held);
    kin.placed();
  }

  /** Where the gradient that is pointed at comes from, as a sum of the library's numbers. */
  function origin({ pixel, tap, place, filter }) {
    const { answer, bias } = example;
    if (!answer) return [];
    const dy = (k) => answer.dy[k].flat();
    const shares = (window, entry) => answer.matrix[entry].map((value, k) => product(dy(k)[window], value));
    if (pixel !== undefined) {
      const inside = at(pixel);
      const terms = answer.cells.flatMap((row, window) => row.flatMap((cell, entry) => (cell === pixel ? shares(window, entry) : [])));
      return inside ? [line(`dx = `, terms, answer.dx[inside[0]][inside[1]][inside[2]])] : [];
    }
    if (place !== undefined && tap !== undefined) return [line("dy · w = ", shares(place, tap), answer.dcolumns[place][tap])];
    if (place !== undefined) return outputs(answer, bias, { place, filter }, () => "y = ");
    if (tap !== undefined && filter !== undefined) {
      const gradients = dy(filter);
      return [line("dw = ", answer.columns.map((row, window) => product(row[tap], gradients[window])), answer.dw[filter].flat(2)[tap])];
    }
    if (filter !== undefined) return [line("db = ", dy(filter).map((value) => shown(value)), answer.db[filter])];
    return [];
  }

  /** Where a pixel of the padded image stands in the image; null in the padding. */
  function at(pixel) {
    const { padding: [[top], [left]], padded_shape: [, rows, columns], dx } = example.answer;
    const [c, i, j] = [Math.floor(pixel / (rows * columns)), Math.floor(pixel / columns) % rows - top, pixel % columns - left];
    return dx[c]?.[i]?.[j] === undefined ? null : [c, i, j];
  }

  /** Tables of the image without its padding, each cell kin to its place in the padded one. */
  function inner(planes, name, kind) {
    const [[top], [left]] = example.answer.padding;
    const [, rows, columns] = example.answer.padded_shape;
    return planes.map((plane, c) => kin.table(planes.length > 1 ? `${name}, channel ${c + 1}` : name, plane.length, plane[0].length, (i, j) => ({
      value: plane[i][j], kind, about: { pixel: (c * rows + i + top) * columns + j + left },
    })));
  }

  await example.compute();
  return () => {};
}
