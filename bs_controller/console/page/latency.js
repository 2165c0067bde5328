// Latencies by kind of request, as shares over logarithmic bins, with the deadline that requests have.
import { css } from "./colours.js";
import { fixed, joined, milliseconds } from "./format.js";
import { Panel } from "./panel.js";
import { Plot, verticalLine } from "./plot.js";

const COLOURS = { configure: "--s0", measure: "--s1", capture: "--s2", fix: "--s3" };

export function create(context) {
  const panel = new Panel("latency", "Latency");
  panel.sections = ["run", "latencies"];
  const plot = new Plot(panel, {
    x: { log: true, values: (u, splits) => splits.map((v) => (v == null ? "" : v < 1000 ? `${v} ms` : `${v / 1000} s`)), range: () => [0.1, 1e4] },
    y: { label: "share / %", range: (u, low, high) => [0, Math.max(10, Math.ceil(((high ?? 10) + 1) / 10) * 10)] },
    draw: (u) => { const { run } = context.store; if (run) verticalLine(u, run.deadline_ms, css("--bad"), "deadline", { zoom: panel.zoom }); },
  });
  panel.update = () => {
    const { latencies } = context.store;
    if (!latencies) return;
    const kinds = Object.keys(latencies.requests);
    panel.sayNothing(kinds.length ? null : "no answer yet");
    panel.about.textContent = "request to answer, median; fix: as a whole";
    panel.setLegend(kinds.map((kind) => ({ colour: css(COLOURS[kind]), name: kind, value: joined(milliseconds(latencies.requests[kind].p50)) })));
    if (!kinds.length) return;
    const edges = latencies.arrays.edges_ms;
    const shares = kinds.map((kind) => { const bins = latencies.arrays[kind], total = bins.reduce((sum, n) => sum + n, 0); return [...Array.from(bins, (n) => (100 * n) / total), 0]; });
    plot.set([Float64Array.from(edges), ...shares], kinds.map((name) => ({ name, colour: () => css(COLOURS[name]), stepped: true, fill: true })));
    panel.readout.textContent = "p95: " + kinds.map((kind) => `${kind} ${joined(milliseconds(latencies.requests[kind].p95))}`).join(", ");
    panel.readout.title = panel.readout.textContent;
  };
  panel.table = () => [["kind", "count", "p50_ms", "p95_ms", "p99_ms", "max_ms"], ...Object.entries(context.store.latencies?.requests ?? {}).map(([kind, s]) => [kind, s.count, s.p50, s.p95, s.p99, s.max].map((v) => (typeof v === "number" ? +v.toFixed(6) : v)))];
  panel.themed = () => plot.redraw();
  return panel;
}
