// Walking through the places of the window: play, step, scrub.
import { element, slider } from "../dom.js";

/** `count()` says how many places there are, `show(place)` shows one. Gives {part, at(place), keep(place), rename(label),
    end()}; `keep` ends the playing. */
export function player(label, { count, show }) {
  let now = 0;
  let timer = null;
  const scrub = slider(label, { min: 1, max: 1, value: 1, change: (value) => keep(value - 1) });
  const input = scrub.querySelector("input");
  const play = element("button", { class: "main", "aria-pressed": "false", onclick: () => (timer ? stop() : start()) }, "Play");
  const step = (by) => () => keep((now + by + count()) % count());
  const buttons = element("div", { class: "buttons" }, play, element("button", { onclick: step(-1) }, "Step back"),
    element("button", { onclick: step(1) }, "Step"));

  function start() {
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => go((now + 1) % count()), 700);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  function go(place) {
    input.max = count();
    now = Math.max(0, Math.min(place, count() - 1));
    scrub.set(now + 1);
    show(now);
  }

  function keep(place) {
    stop();
    go(place);
  }

  const rename = (text) => { scrub.querySelector("label").textContent = text; };
  return { part: element("div", { class: "player" }, buttons, scrub), at: go, keep, rename, end: stop };
}
