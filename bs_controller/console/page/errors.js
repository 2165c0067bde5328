// Distribution of errors by scheme, of fixes and of the tracks after them, against the Cramer-Rao bound of what was sent.
import { inOrder, schemeColour } from "./colours.js";
import { joined, metres, metreTick } from "./format.js";
import { Panel } from "./panel.js";
import { Plot, verticalLine } from "./plot.js";

const OF_TRACKS = "/tracks";

export function create(context) {
  const panel = new Panel("errors", "Errors");
  panel.sections = ["errors"];
  const plot = new Plot(panel, {
    x: { log: true, values: (u, splits) => splits.map((v) => (v == null ? "" : metreTick(v))), range: (u, low, high) => (low == null ? [1e-4, 100] : [10 ** Math.floor(Math.log10(low) - 0.2), 10 ** Math.ceil(Math.log10(high) + 0.05)]) },
    y: { label: "share", range: () => [0, 1.02] },
    draw: (u) => Object.entries(context.store.errors?.schemes ?? {}).forEach(([scheme, { bound_m }]) => {
      if (bound_m) verticalLine(u, bound_m, schemeColour(scheme), "", { zoom: panel.zoom });
    }),
  });
  panel.update = () => {
    const { errors } = context.store;
    if (!errors) return;
    const known = inOrder(Object.keys(errors.schemes)).map((scheme) => [scheme, errors.schemes[scheme]]).filter(([, { count }]) => count);
    const tracked = known.filter(([, { tracks }]) => tracks);
    const fixes = Object.keys(errors.schemes).length;
    panel.about.textContent = `CDF, median; ${tracked.length ? "dotted: tracks after the same fixes; " : ""}dashed: rms of bounds`;
    panel.sayNothing(known.length ? null : fixes ? "no truth to compare with" : "no fix yet");
    panel.setLegend(known.map(([scheme, { p50, tracks }]) => ({ colour: schemeColour(scheme), name: scheme, value: joined(metres(p50)) + (tracks ? `, tracks ${joined(metres(tracks.p50))}` : "") })));
    if (!known.length) return;
    const curves = [...known.map(([scheme]) => [scheme, scheme]), ...tracked.map(([scheme]) => [scheme, scheme + OF_TRACKS])];
    plot.set(uPlot.join(curves.map(([, name]) => merged(distribution(errors.arrays[name])))), curves.map(([scheme, name]) => ({ name, colour: () => schemeColour(scheme), stepped: true, width: 2, dash: name === scheme ? undefined : [2, 3] })));
    panel.readout.textContent = "bound, own σ: " + known.map(([scheme, { bound_m, expected_m }]) => `${scheme} ${joined(metres(bound_m))}, ${joined(metres(expected_m))}`).join("; ");
    panel.readout.title = panel.readout.textContent;
  };
  panel.table = () => [["scheme", "error_m", "share", "of"], ...Object.entries(context.store.errors?.arrays ?? {}).flatMap(([name, xs]) => Array.from(xs, (x, n) => [name.replace(OF_TRACKS, ""), x, (n + 1) / xs.length, name.endsWith(OF_TRACKS) ? "track" : "fix"]))];
  panel.themed = () => plot.redraw();
  return panel;
}

// Errors and the share of all that are no larger; at most some hundred points of them.
function distribution(errors) {
  const xs = Array.from(errors, (value) => Math.max(value, 1e-7));
  return [[xs[0] * 0.999, ...xs], [0, ...xs.map((_, n) => (n + 1) / xs.length)]];
}

// Of equal errors the last share alone: a table's x values must differ.
function merged([xs, ys]) {
  const kept = xs.map((x, n) => n).filter((n) => xs[n] !== xs[n + 1]);
  return [kept.map((n) => xs[n]), kept.map((n) => ys[n])];
}
