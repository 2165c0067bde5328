// The region in metres: the array lies at the bottom, broadside (x) is up, y and the angle grow to the right as in the image.
import { css, schemeColour, schemeMark, schemeShape } from "./colours.js";
import { fixed, joined, metres } from "./format.js";
import { fullCanvas, Panel } from "./panel.js";

const OLD_S = 1;
const SIGMAS_95 = 2.4477; // a plane normal distribution lies within this many standard deviations in 95 of 100 cases

export function create(context) {
  const panel = new Panel("map", "Map");
  const begin = fullCanvas(panel);
  const view = { fit: true, x: 0, y: 0, scale: 1, closeUp: false }; // centre in m, pixels a metre
  panel.sections = ["run", "fixes", "tracks", "power"];
  panel.update = () => {
    const { run, fixes, tracks } = context.store;
    if (!run) return;
    const marks = context.schemes().map((scheme) => ({ colour: schemeColour(scheme), shape: schemeShape(scheme), name: scheme }));
    if (tracks?.tracks.length) marks.push({ colour: css("--track"), shape: "circle()", name: "track, 1 s ahead" });
    if (tracks?.truth.length) marks.push({ name: "+ truth" });
    if (run.scatterers.length) marks.push({ name: "✳ scatterer" });
    panel.setLegend(marks);
    const { c, width, height } = begin();
    if (view.closeUp) centreOnUser(context, view, width, height);
    else if (view.fit) Object.assign(view, whole(run.region, width, height));
    const corner = width > 430 && !view.closeUp ? insetBox(width, height) : null;
    draw(c, width, height, view, context, { covered: corner });
    if (corner) inset(c, corner, context);
    const chosen = (fixes?.fixes ?? []).filter(({ ue }) => ue === context.user);
    panel.about.textContent = `x broadside, y along the array; ellipses hold 95 %; corner: close-up`;
    panel.readout.replaceChildren(...words(context.user, chosen, tracks?.tracks.find(({ ue }) => ue === context.user)));
  };
  panel.table = () => [
    ["user", "scheme", "round", "x_m", "y_m", "range_m", "angle_rad", "truth_x_m", "truth_y_m", "error_m", "time_s"],
    ...(context.store.fixes?.fixes ?? []).map((fix) => [fix.ue, fix.scheme, fix.round, ...fix.point, fix.range_m, fix.angle_rad, ...(fix.truth ?? ["", ""]), fix.error_m, fix.time_s]),
    ...(context.store.tracks?.tracks ?? []).map(({ ue, point: [x, y], time_s }) => [ue, "track", "", x, y, Math.hypot(x, y), Math.atan2(y, x), "", "", "", time_s]),
  ];
  steer(panel, view);
  return panel;
}

function words(user, fixes, track) {
  const byError = fixes.filter(({ error_m }) => error_m != null).sort((a, b) => a.error_m - b.error_m);
  const newest = [...fixes].sort((a, b) => b.time_s - a.time_s)[0];
  const fix = track ? newest : byError[0] ?? newest; // of a user who moves an old fix says nothing, however good it was
  if (!fix && !track) return [`${user ?? ""}: no fix yet`];
  const name = document.createElement("b"), [x, y] = track?.point ?? fix.point;
  name.textContent = user;
  const speed = track?.velocity ? `, ${fixed(Math.hypot(...track.velocity), 2)} m/s` : "";
  const error = fix?.error_m == null ? "" : `, error ${joined(metres(fix.error_m))}`;
  return [name, ` ${track ? "track" : fix.scheme}: x ${fixed(x, 3)} m, y ${fixed(y, 3)} m${speed}${track && fix ? `; ${fix.scheme}` : ""}${error}`];
}

function whole(region, width, height) {
  const far = region.range_max_m, half = far * Math.max(Math.sin(region.angle_max_rad), Math.sin(-region.angle_min_rad));
  const scale = Math.min((width - 24) / (2 * half), (height - 42) / far);
  return { x: (height / 2 - 28) / scale, y: 0, scale };
}

function centreOnUser(context, view, width, height) {
  const points = pointsOf(context);
  if (!points.length) return;
  const [x, y] = context.place(context.user) ?? points[0];
  const reach = Math.max(0.002, 1.5 * middle(points.map(([px, py]) => Math.hypot(px - x, py - y))));
  Object.assign(view, { x, y, scale: Math.min(width, height) / 2 / reach, fit: false });
}

const pointsOf = (context) => (context.store.fixes?.fixes ?? []).filter(({ ue }) => ue === context.user).map(({ point }) => point);
const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0;

function draw(c, width, height, view, context, { plain = false, covered = null } = {}) {
  const at = ([x, y]) => [width / 2 + (y - view.y) * view.scale, height / 2 - (x - view.x) * view.scale];
  grid(c, width, height, view, at, plain);
  const { run, fixes, tracks } = context.store;
  sector(c, run, at, view.scale);
  for (const point of run.scatterers) scatterer(c, at(point));
  for (const { trail } of tracks?.truth ?? []) line(c, pointsBetween(tracks.arrays.trails_m, trail).map(at), css("--truth"), 0.55, []);
  for (const { trail } of tracks?.tracks ?? []) line(c, pointsBetween(tracks.arrays.trails_m, trail).map(at), css("--track"), 0.85, []);
  const moved = tracks?.tracks.length > 0; // where users move, a fix of a while ago is not where they are
  for (const fix of fixes?.fixes ?? []) {
    const chosen = fix.ue === context.user;
    c.globalAlpha = moved && fix.time_s < context.status.time_s - OLD_S ? 0.2 : 1;
    if (fix.covariance) ellipse(c, at(fix.point), fix.covariance, view.scale, schemeColour(fix.scheme));
    mark(c, at(fix.point), fix.scheme, chosen, fix.integrity === "suspect");
  }
  c.globalAlpha = 1;
  for (const track of tracks?.tracks ?? []) tracked(c, at, track, view.scale);
  for (const { point } of tracks?.truth ?? []) cross(c, at(point));
  const focus = context.focus;
  if (focus && Number.isFinite(focus.range_m)) ring(c, at([focus.range_m * Math.cos(focus.angle_rad), focus.range_m * Math.sin(focus.angle_rad)]));
  if (!plain) labels(c, at, context, width, height, covered ? [covered] : []);
}

const pointsBetween = (flat, [begin, end]) => Array.from({ length: end - begin }, (_, n) => [flat[2 * (begin + n)], flat[2 * (begin + n) + 1]]);

function grid(c, width, height, view, at, plain) {
  const step = niceStep((plain ? 46 : 70) / view.scale);
  c.lineWidth = 1;
  c.strokeStyle = css("--grid"); c.fillStyle = css("--muted");
  const [unit, name] = step < 0.01 ? [1e3, "mm"] : step < 0.5 ? [1e2, "cm"] : [1, "m"];
  const shown = (value) => fixed(value * unit, Math.max(0, Math.ceil(-Math.log10(step * unit) - 1e-9)));
  const left = view.y - width / 2 / view.scale, bottom = view.x - height / 2 / view.scale;
  c.textAlign = "center";
  for (let y = Math.ceil(left / step) * step; y < left + width / view.scale; y += step) {
    const [px] = at([0, y]);
    stroke(c, [[px, 0], [px, height]]);
    if (!plain && px > 44 && px < width - 44) c.fillText(shown(y), px, height - 4);
  }
  c.textAlign = "left";
  for (let x = Math.ceil(bottom / step) * step; x < bottom + height / view.scale; x += step) {
    const [, py] = at([x, 0]);
    stroke(c, [[0, py], [width, py]]);
    if (!plain && py > 26 && py < height - 16) c.fillText(shown(x), 5, py - 3);
  }
  if (plain) return;
  c.fillStyle = css("--ink");
  c.textAlign = "right"; c.fillText(`y / ${name}`, width - 5, height - 4);
  c.textAlign = "left"; c.fillText(`x / ${name}`, 5, 13);
}

function niceStep(least) {
  const decade = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * decade).find((step) => step >= least);
}

function sector(c, run, at, scale) {
  const { range_min_m, range_max_m, angle_min_rad, angle_max_rad } = run.region;
  const [x, y] = at([0, 0]);
  const up = -Math.PI / 2;
  c.beginPath();
  c.arc(x, y, range_max_m * scale, up + angle_min_rad, up + angle_max_rad);
  c.arc(x, y, range_min_m * scale, up + angle_max_rad, up + angle_min_rad, true);
  c.closePath();
  c.globalAlpha = 0.05; c.fillStyle = css("--accent"); c.fill(); c.globalAlpha = 1;
  c.strokeStyle = css("--line"); c.lineWidth = 1.2; c.stroke();
  c.strokeStyle = css("--ink"); c.lineWidth = 3;
  const half = Math.max(6, (run.array_m / 2) * scale);
  stroke(c, [[x - half, y], [x + half, y]]);
}

function stroke(c, points) {
  c.beginPath();
  points.forEach(([x, y], n) => (n ? c.lineTo(x, y) : c.moveTo(x, y)));
  c.stroke();
}

function line(c, points, colour, alpha, dash) {
  if (points.length < 2) return;
  c.save(); c.strokeStyle = colour; c.globalAlpha = alpha; c.lineWidth = 1.4; c.setLineDash(dash);
  stroke(c, points);
  c.restore();
}

function scatterer(c, [x, y]) {
  c.strokeStyle = css("--muted"); c.lineWidth = 1.3;
  c.beginPath(); for (let n = 0; n < 3; n++) { const a = (n * Math.PI) / 3; c.moveTo(x - 5 * Math.cos(a), y - 5 * Math.sin(a)); c.lineTo(x + 5 * Math.cos(a), y + 5 * Math.sin(a)); } c.stroke();
}

function cross(c, [x, y]) {
  c.strokeStyle = css("--panel"); c.lineWidth = 4; stroke(c, [[x - 6, y], [x + 6, y]]); stroke(c, [[x, y - 6], [x, y + 6]]);
  c.strokeStyle = css("--truth"); c.lineWidth = 1.6; stroke(c, [[x - 6, y], [x + 6, y]]); stroke(c, [[x, y - 6], [x, y + 6]]);
}

function ring(c, [x, y]) {
  c.strokeStyle = css("--warn"); c.lineWidth = 2; c.beginPath(); c.arc(x, y, 9, 0, 7); c.stroke();
  stroke(c, [[x - 13, y], [x - 5, y]]); stroke(c, [[x + 5, y], [x + 13, y]]);
}

function mark(c, [x, y], scheme, chosen, suspect) {
  c.beginPath(); schemeMark(scheme)(c, x, y, chosen ? 4.6 : 3.2);
  c.fillStyle = c.strokeStyle = schemeColour(scheme);
  if (suspect) { c.lineWidth = 1.6; c.stroke(); } else c.fill();
}

function ellipse(c, [x, y], [xx, xy, yy], scale, colour) {
  const mean = (xx + yy) / 2, half = Math.hypot((xx - yy) / 2, xy);
  const radii = [mean + half, Math.max(mean - half, 0)].map((variance) => SIGMAS_95 * Math.sqrt(variance) * scale);
  if (!(radii[0] > 1) || radii[0] > 20000) return;
  c.beginPath(); c.ellipse(x, y, radii[0], Math.max(radii[1], 0.5), Math.atan2(2 * xy, xx - yy) / 2 - Math.PI / 2, 0, 7);
  const alpha = c.globalAlpha;
  c.globalAlpha = 0.12 * alpha; c.fillStyle = colour; c.fill(); c.globalAlpha = alpha;
  c.strokeStyle = colour; c.lineWidth = 1.1; c.stroke();
}

function tracked(c, at, track, scale) {
  const point = at(track.point);
  if (track.covariance) ellipse(c, point, track.covariance, scale, css("--track"));
  c.fillStyle = c.strokeStyle = css("--track"); c.lineWidth = 2;
  c.beginPath(); c.arc(...point, 5, 0, 7); c.fill();
  if (track.velocity) stroke(c, [point, at([track.point[0] + track.velocity[0], track.point[1] + track.velocity[1]])]);
}

// Names beside users, on a side where nothing else stands; a name that finds no room is left out until one zooms in.
const sides = new Map(); // where each name stood last: it stays there as long as it can
function labels(c, at, context, width, height, covered) {
  const users = [context.user, ...context.users().filter((one) => one !== context.user)].map((ue) => [ue, context.place(ue)]);
  const seen = users.filter(([, place]) => place).map(([ue, place]) => [ue, ...at(place)]).filter(([, x, y]) => x >= 0 && x <= width && y >= 0 && y <= height);
  const taken = [...covered, ...seen.map(([, x, y]) => [x - 5, y - 5, x + 5, y + 5])];
  for (const [ue, x, y] of seen) {
    const chosen = ue === context.user;
    c.font = chosen ? "700 12px system-ui, sans-serif" : "11px system-ui, sans-serif";
    const size = c.measureText(ue).width;
    const boxes = [[x + 8, y - 17], [x + 8, y + 4], [x - 8 - size, y - 17], [x - 8 - size, y + 4]].map(([left, top]) => [left, top, left + size, top + 13]);
    const free = ([left, top, right, bottom]) => left >= 2 && right <= width - 2 && top >= 2 && bottom <= height - 16 && !taken.some((one) => left < one[2] && one[0] < right && top < one[3] && one[1] < bottom);
    const side = [sides.get(ue) ?? 0, 0, 1, 2, 3].find((n) => free(boxes[n])) ?? (chosen ? 0 : null);
    if (side == null) continue;
    sides.set(ue, side);
    const [left, , , bottom] = boxes[side];
    taken.push(boxes[side]);
    c.lineWidth = 3; c.lineJoin = "round"; c.strokeStyle = css("--panel"); c.textAlign = "left"; c.strokeText(ue, left, bottom - 3);
    c.fillStyle = chosen ? css("--ink") : css("--muted"); c.fillText(ue, left, bottom - 3);
  }
}

// Close-up of the chosen user in a corner: as wide as its better half of fixes needs.
function insetBox(width, height) {
  const size = Math.min(170, height * 0.38);
  return [width - size - 8, 8, width - 8, 8 + size];
}

function inset(c, [left, top, right], context) {
  const place = context.place(context.user), points = pointsOf(context), size = right - left;
  if (!place || !points.length) return;
  const near = middle(points.map(([x, y]) => Math.hypot(x - place[0], y - place[1])));
  const view = { x: place[0], y: place[1], scale: size / 2 / Math.max(0.002, 1.6 * near) };
  c.save();
  c.beginPath(); c.rect(left, top, size, size); c.clip();
  c.fillStyle = css("--panel"); c.fillRect(left, top, size, size);
  c.translate(left, top);
  draw(c, size, size, view, context, { plain: true });
  c.restore();
  c.strokeStyle = css("--muted"); c.lineWidth = 1; c.strokeRect(left, top, size, size);
  const step = niceStep(40 / view.scale), bar = step * view.scale;
  c.fillStyle = c.strokeStyle = css("--ink"); c.lineWidth = 2;
  stroke(c, [[left + 8, top + size - 9], [left + 8 + bar, top + size - 9]]);
  c.textAlign = "left"; c.font = "11px system-ui, sans-serif";
  c.fillText(joined(metres(step)), left + 8, top + size - 14);
  c.font = "700 11px system-ui, sans-serif"; c.fillText(context.user, left + 7, top + 14);
}

function steer(panel, view) {
  const zoom = (factor) => { view.fit = view.closeUp = false; view.scale *= factor; };
  const changed = () => { panel.dirty = true; window.dispatchEvent(new Event("redraw")); };
  panel.body.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.25 : 0.8); changed(); }, { passive: false });
  panel.body.addEventListener("dblclick", () => { view.fit = true; view.closeUp = false; changed(); });
  panel.body.addEventListener("pointermove", (event) => {
    if (!(event.buttons & 1)) return;
    view.fit = view.closeUp = false; const pixels = view.scale * panel.zoom; view.y -= event.movementX / pixels; view.x += event.movementY / pixels; changed();
  });
  panel.body.addEventListener("keydown", (event) => {
    const by = 40 / view.scale, move = { ArrowLeft: [0, -by], ArrowRight: [0, by], ArrowUp: [by, 0], ArrowDown: [-by, 0] }[event.key];
    if (move) { view.fit = view.closeUp = false; view.x += move[0]; view.y += move[1]; }
    else if (event.key === "+") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") { view.fit = true; view.closeUp = false; }
    else if (event.key === "c") view.closeUp = true;
    else return;
    event.preventDefault(); changed();
  });
}
