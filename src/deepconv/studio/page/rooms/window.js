// The window slides over a small grid of numbers; pointing at anything lights its kin, and writes out its sum.
import { element, steady } from "../dom.js";
import { Example, nest } from "./example.js";
import { columnsTable, imageTables, Kinship, matrixTable, outputTables, weightTables } from "./grids.js";
import { player } from "./player.js";
import { outputs, sizes, stamped } from "./sums.js";

export async function open(root, { values, remember }) {
  const words = element("p", { class: "explain", role: "status" });
  const sum = element("div", { class: "sum" });
  const told = element("div", { class: "told" }, words, sum);
  const grids = element("div", { class: "grids" });
  const matrices = element("div", { class: "grids" });
  const kin = new Kinship((text, about) => {
    words.textContent = text;
    sum.replaceChildren(...terms(about));
    steady(told);
  }, (about) => (about.place === undefined ? kin.hold(about) : walk.keep(about.place)));
  const example = new Example(values, { remember, changed: draw });
  const walk = player("window", { count: () => example.answer?.cells.length ?? 1, show });

  root.append(
    element("p", { class: "explain" }, "Every number of the output is a sum: the window’s numbers times the weights. ",
      "Point at any cell, or walk there with the arrow keys, to see its kin and its sum; a click, or Space, keeps them; ",
      "double-click or press Enter to change a number."),
    element("div", { class: "columns" }, example.controls({ transposed: true }),
      example.result(walk.part, told, grids, element("h3", {}, "As a matrix"), matrices)));

  function show(place) {
    if (!example.answer) return;
    example.settings.at = place;
    kin.hold({ place });
    example.mark();
  }

  /** The sum of what is pointed at, where it is one. */
  function terms({ pixel, place, filter }) {
    const { answer, bias, settings, image, imageSizes } = example;
    if (!answer) return [];
    if (!settings.t) return place === undefined ? [] : outputs(answer, bias, { place, filter });
    if (pixel !== undefined) return [stamped(answer, nest(image, imageSizes), bias, pixel)];
    if (place === undefined) return [];
    return [`Input ${place + 1} stamps the kernel, times its number, on the lit cells; where stamps overlap they add up. `
      + `The ${answer.cells.length} stamps stand row by row in the matrix below.`];
  }

  function draw({ answer, settings, image, imageSizes, weight, weightSizes }) {
    const edit = (list) => (index, value) => example.put(list, index, value);
    const weights = { edit: edit("wt"), transposed: Boolean(settings.t) };
    kin.start(answer.cells, settings.t ? "stamp" : "window");
    example.formula.replaceChildren(...example.rule(answer.formula),
      ...(settings.t ? [element("dt", {}, "and back"), element("dd", {}, "a window over this output gives the input’s size again"), ...sizes(answer.inverse)] : []));
    grids.replaceChildren(...(settings.t
      ? [...outputTables(kin, nest(image, imageSizes), { name: "input", kind: "input", edit: edit("x"), each: "channel" }),
        ...weightTables(kin, nest(weight, weightSizes), weights),
        ...imageTables(kin, answer.padded, answer.padding, { kind: "output", beyond: "cropped", each: "filter",
          name: answer.padding.flat().some(Boolean) ? "output; the padding cuts off what is struck out" : "output" })]
      : [...imageTables(kin, answer.padded, answer.padding, { name: "input", kind: "input", edit: edit("x") }),
        ...weightTables(kin, nest(weight, weightSizes), weights),
        ...outputTables(kin, answer.y, { name: "output" })]));
    matrices.replaceChildren(...(settings.t ? [columnsTable(kin, answer.stamps, { name: "the stamps, one in each row" })]
      : [columnsTable(kin, answer.columns, { name: "what the window sees, one place in each row" }), matrixTable(kin, answer.matrix)]));
    walk.rename(settings.t ? "stamp" : "window");
    steady(told, true);
    walk.at(settings.at);
    kin.placed();
  }

  await example.compute();
  return walk.end;
}
