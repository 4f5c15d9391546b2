// Every layer's activations as maps, and the pixels that mattered.
import { element } from "../dom.js";
import { activation } from "./activation.js";
import { heatmap, map, paint, walkable } from "./maps.js";

/** The list of layers; a click on a number shows beneath its layer what made it. */
export function layerList(refuse) {
  const list = element("div", { class: "layers" });
  const warm = element("section", {});
  const detail = activation(refuse);
  const box = element("section", { hidden: true }, element("h3", {}, "Layer by layer"),
    element("p", { class: "explain" }, "Orange is above zero, blue below. Click a number of a map to see what made it; with the keyboard, ",
      "the arrow keys walk from map to map, and Enter takes the strongest place of one."), list);
  let layout = ""; // names and sizes of the layers that are shown

  function clear() {
    detail.close();
    layout = "";
    list.replaceChildren();
    box.hidden = true;
  }

  /** Show an answer of `see`; where only the numbers are new, the maps that are there take them. */
  function show({ classes, layers: found, heat, blobs }) {
    const values = found.map((_, index) => new Float32Array(blobs[index]));
    const now = JSON.stringify(found.map(({ name, kind, shape }) => [name, kind, shape]));
    if (now !== layout) {
      clear();
      layout = now;
      list.replaceChildren(...found.map((layer, index) => panel(layer, values[index], detail)));
      list.firstChild.after(warm);
      box.hidden = false;
    } else {
      [...list.querySelectorAll(".layer > .maps")].forEach((group, index) => {
        const each = values[index].length / group.children.length;
        [...group.children].forEach((canvas, c) => paint(canvas, values[index].subarray(c * each, (c + 1) * each)));
      });
      detail.again();
    }
    warm.replaceChildren();
    if (!heat) return;
    const [channels, height, width] = found[0].shown;
    warm.replaceChildren(element("h4", {}, `pixels that mattered for ${classes[0][0]}`),
      heatmap(new Float32Array(blobs.at(-1)), heat, values[0], [channels, height, width]));
  }
  return { box, show, clear };
}

function panel({ name, kind, shape, step, shown: [count, height, width] }, values, detail) {
  const flat = shape.length < 3;
  const more = !flat && shape[0] > count ? ` (the first ${count} maps)` : "";
  const title = `${name}${kind ? ` ${kind}` : ""}: ${shape.join(" × ")}${more}`;
  const made = element("section", { class: "layer" }, element("h4", {}, title));
  const point = (c) => (name === "input" ? null
    : (row, column) => detail.show(flat ? { layer: name, channel: column } : { layer: name, channel: c, row: row * step, column: column * step }, made));
  const maps = flat
    ? [map(values, 1, values.length, { label: `${name}: ${values.length} numbers`, point: point(0), scale: values.length > 64 ? 4 : 12 })]
    : Array.from({ length: count }, (_, c) => map(values.subarray(c * height * width, (c + 1) * height * width), height, width,
      { label: name === "input" ? `what the network sees, channel ${c + 1}` : `${kind || name}, map ${c + 1}`, point: point(c) }));
  made.append(walkable(element("div", { class: "maps", role: "group", "aria-label": title }, ...maps)));
  return made;
}

/** The first layer's filters, up to 64, each as a small map with its number. */
export function filters(shape, data) {
  if (!shape?.length) return [];
  const values = new Float32Array(data);
  const [count, channels, height, width] = shape;
  const size = channels * height * width;
  return Array.from({ length: Math.min(count, 64) }, (_, k) =>
    element("figure", {}, map(values.subarray(k * size, k * size + height * width), height, width, { label: `filter ${k + 1}`, scale: 10 }),
      element("figcaption", { "aria-hidden": "true" }, k + 1)));
}
