// What each element of the linear array hears of the chosen user, with the sub-arrays that the scheme found to see it.
import { css } from "./colours.js";
import { fixed } from "./format.js";
import { Panel } from "./panel.js";
import { Plot } from "./plot.js";

export function create(context) {
  const panel = new Panel("elements", "Elements");
  panel.sections = ["run", "elements"];
  const plot = new Plot(panel, {
    x: { label: "element" },
    y: { label: "level / dB", range: () => [-40, 3] },
    onCursor: (index) => {
      const { elements } = context.store;
      if (index != null && elements?.arrays.level_db) panel.readout.textContent = `element ${index}: ${fixed(elements.arrays.level_db[index], 1)} dB, phase ${fixed(elements.arrays.phase_rad[index], 2)} rad`;
    },
    draw: (u) => mask(u, context, panel.zoom),
  });
  panel.update = () => {
    const { run, elements } = context.store;
    if (!run || !elements) return;
    panel.about.textContent = elements.epoch == null ? context.user : `${elements.ue}, epoch ${elements.epoch}`;
    const level = elements.arrays.level_db;
    panel.sayNothing(level ? null : elements.why);
    panel.readout.textContent = !level ? "" : elements.visible ? `seen by sub-arrays ${elements.visible.join(", ")} (${elements.by})` : `looked at from the fix of ${elements.by}, which tells no sub-arrays`;
    if (level) plot.set([Float64Array.from(level, (_, n) => n), level], [{ name: "level", colour: () => css("--s2"), width: 1 }]);
  };
  panel.table = () => [["element", "level_db", "phase_rad"], ...Array.from(context.store.elements?.arrays.level_db ?? [], (value, n) => [n, value, context.store.elements.arrays.phase_rad[n]])];
  panel.themed = () => plot.redraw();
  return panel;
}

function mask(u, context, zoom) {
  const { run, elements } = context.store;
  if (!elements?.arrays.level_db) return;
  const { left, top, width, height } = u.bbox, c = u.ctx, scale = (window.devicePixelRatio || 1) * zoom;
  const edge = (n) => u.valToPos((n * run.elements) / run.subarrays, "x", true);
  c.save();
  c.beginPath(); c.rect(left, top, width, height); c.clip();
  c.font = `${10.5 * scale}px system-ui, sans-serif`;
  c.textAlign = "center";
  for (let n = 0; n < run.subarrays; n++) {
    const seen = elements.visible?.includes(n);
    c.fillStyle = seen ? css("--good") : css("--bad");
    c.globalAlpha = 0.13;
    if (elements.visible) c.fillRect(edge(n), top, edge(n + 1) - edge(n), height);
    c.globalAlpha = 1;
    c.strokeStyle = css("--line");
    c.beginPath(); c.moveTo(edge(n), top); c.lineTo(edge(n), top + height); c.stroke();
    if (elements.visible) c.fillText(seen ? `${n} seen` : `${n} hidden`, (edge(n) + edge(n + 1)) / 2, top + height - 5 * scale);
  }
  c.restore();
}
