// Line plots by uPlot with the page's colours, axes with units, and a cursor that the keyboard moves too.
import { css } from "./colours.js";

export class Plot {
  // `options`: {x: {label, log, values}, y: {label, range}, series: [{colour, stepped, fill}], onCursor, draw}
  constructor(panel, options) {
    this.panel = panel;
    this.options = options;
    this.plot = null;
    this.shape = "";
    this.zoom = 1;
    panel.canvas = () => this.plot?.ctx.canvas;
    panel.resized = () => this.fit();
    panel.body.addEventListener("keydown", (event) => this.move(event));
  }

  set(data, series) {
    const shape = JSON.stringify(series.map(({ name }) => name));
    if (this.shape !== shape || !this.plot) { this.shape = shape; this.build(data, series); } else this.plot.setData(data);
  }

  build(data, series) {
    this.plot?.destroy();
    const { x, y, onCursor, draw } = this.options;
    const zoom = this.zoom, font = `${11 * zoom}px system-ui, sans-serif`;
    const axis = ({ label, values, log }, side) => ({
      stroke: () => css("--muted"), ...(label ? { label, labelSize: 15 * zoom } : {}), labelFont: font, font,
      size: (side === 2 ? (label ? 26 : 24) : 44) * zoom, gap: 3, labelGap: -2, values,
      grid: { stroke: () => css("--grid"), width: 1 }, ticks: { stroke: () => css("--line"), width: 1, size: 4 },
      side, ...(log ? { filter: (u, splits) => decades(u, splits, zoom) } : { space: (side === 2 ? 60 : 28) * zoom }),
    });
    this.plot = new uPlot({
      ...this.size(), padding: [8 * zoom, 24 * zoom, 0, 0], legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false, setScale: true }, points: { size: 5 } },
      scales: { x: { time: false, distr: x.log ? 3 : 1, ...(x.range ? { range: x.range } : {}) }, y: { range: y.range } },
      axes: [axis(x, 2), axis(y, 3)],
      series: [{}, ...series.map(({ name, colour, stepped, fill, dash, width = 1.5 }) => ({
        label: name, stroke: () => colour(), width, spanGaps: true, points: { show: false }, ...(dash ? { dash } : {}),
        ...(fill ? { fill: () => colour() + "28" } : {}), ...(stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
      }))],
      hooks: { setCursor: [(u) => onCursor?.(u.cursor.idx)], draw: draw ? [draw] : [] },
    }, data, this.panel.body);
  }

  size() {
    const { width, height } = this.panel.body.getBoundingClientRect();
    return { width: Math.max(60, Math.floor(width)), height: Math.max(50, Math.floor(height)) };
  }

  fit() {
    if (this.zoom !== this.panel.zoom) { this.zoom = this.panel.zoom; this.shape = ""; } // built anew with the next drawing
    this.plot?.setSize(this.size());
  }

  redraw() {
    this.plot?.redraw();
  }

  move(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.plot) return;
    event.preventDefault();
    const { data, cursor } = this.plot;
    const from = cursor.idx ?? Math.floor(data[0].length / 2);
    const to = Math.min(Math.max(from + step * (event.shiftKey ? 10 : 1), 0), data[0].length - 1);
    this.plot.setCursor({ left: this.plot.valToPos(data[0][to], "x"), top: this.plot.over.clientHeight / 2 });
  }
}

// Powers of ten alone are named on a logarithmic axis, and every second one where there is little room.
function decades(u, splits, zoom) {
  const powers = splits.map((value) => Math.log10(value)).map((power) => (Math.abs(power - Math.round(power)) < 1e-6 ? Math.round(power) : null));
  const room = u.over.clientWidth / Math.max(1, powers.filter((power) => power != null).length);
  return splits.map((value, n) => (powers[n] == null || (room < 48 * zoom && powers[n] % 2) ? null : value));
}

// A dashed vertical line at a value of x, with words beside it.
export function verticalLine(u, value, colour, words, { low = false, zoom = 1 } = {}) {
  const { left, top, width, height } = u.bbox;
  const x = u.valToPos(value, "x", true);
  if (!(x >= left && x <= left + width)) return;
  const c = u.ctx, scale = (window.devicePixelRatio || 1) * zoom;
  c.save();
  c.strokeStyle = c.fillStyle = colour;
  c.lineWidth = 1.2 * scale;
  c.setLineDash([4 * scale, 3 * scale]);
  c.beginPath(); c.moveTo(x, top); c.lineTo(x, top + height); c.stroke();
  if (words) {
    c.font = `${10.5 * scale}px system-ui, sans-serif`;
    const right = x + c.measureText(words).width + 6 * scale > left + width;
    c.textAlign = right ? "right" : "left";
    c.fillText(words, x + (right ? -4 : 4) * scale, low ? top + height - 5 * scale : top + 11 * scale);
  }
  c.restore();
}
