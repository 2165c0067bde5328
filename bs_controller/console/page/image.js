// The backprojected uplink image of the chosen user: range over angle, dB below its peak, with the points that were found.
import { css } from "./colours.js";
import { degrees, fixed } from "./format.js";
import { fullCanvas, Panel } from "./panel.js";

const LEFT = 40, BOTTOM = 30, TOP = 6, RIGHT = 46;
// Viridis at eleven places: bright is strong, and grey print keeps the order.
const MAP = [[68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140], [34, 168, 132], [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37]];
const LEVELS = Uint32Array.from({ length: 256 }, (_, n) => {
  const place = (n / 255) * 10, low = Math.min(Math.floor(place), 9), share = place - low;
  const [r, g, b] = MAP[low].map((value, k) => Math.round(value + share * (MAP[low + 1][k] - value)));
  return (255 << 24) | (b << 16) | (g << 8) | r;
});

export function create(context) {
  const panel = new Panel("image", "Uplink image");
  const begin = fullCanvas(panel);
  const picture = document.createElement("canvas");
  let drawn = null;
  panel.sections = ["image"];
  panel.update = () => {
    const { image } = context.store;
    if (!image) return;
    panel.about.textContent = image.epoch == null ? context.user : `${image.ue}, epoch ${image.epoch}`;
    panel.sayNothing(image.arrays.level ? null : image.why);
    const { c, width, height } = begin();
    if (!image.arrays.level) { panel.readout.textContent = ""; return; }
    if (drawn !== image) { paint(picture, image.arrays.level); drawn = image; }
    draw(c, width, height, image, picture);
    const peak = document.createElement("b");
    peak.textContent = "peak";
    panel.readout.replaceChildren(peak, ` ${fixed(image.peak[0], 2)} m, ${degrees(image.peak[1])}; ${image.found.length} found`);
  };
  panel.table = () => {
    const { image } = context.store, { level, range_m, angle_rad } = image?.arrays ?? {};
    if (!level) return [];
    const columns = angle_rad.length;
    return [["range_m \\ angle_rad", ...angle_rad], ...Array.from(range_m, (range, row) => [range, ...Array.from(level.subarray(row * columns, (row + 1) * columns), (byte) => ((byte / 255 - 1) * image.span_db).toFixed(2))])];
  };
  return panel;
}

function paint(picture, level) {
  const [rows, columns] = level.shape;
  picture.width = columns; picture.height = rows;
  const c = picture.getContext("2d"), pixels = c.createImageData(columns, rows), words = new Uint32Array(pixels.data.buffer);
  for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) words[(rows - 1 - row) * columns + column] = LEVELS[level[row * columns + column]];
  c.putImageData(pixels, 0, 0);
}

function draw(c, width, height, image, picture) {
  const w = width - LEFT - RIGHT, h = height - TOP - BOTTOM;
  if (w < 20 || h < 20) return;
  const { range_m, angle_rad } = image.arrays, low = [angle_rad[0], range_m[0]], high = [angle_rad.at(-1), range_m.at(-1)];
  const at = (angle, range) => [LEFT + (w * (angle - low[0])) / (high[0] - low[0]), TOP + h - (h * (range - low[1])) / (high[1] - low[1])];
  c.imageSmoothingEnabled = true;
  c.drawImage(picture, LEFT, TOP, w, h);
  c.fillStyle = css("--muted"); c.strokeStyle = css("--line");
  c.textAlign = "center";
  for (let d = -90; d <= 90; d += w > 400 ? 15 : 30) { const [x] = at((d * Math.PI) / 180, 0); if (x >= LEFT - 1 && x <= LEFT + w + 1) c.fillText(fixed(d, 0), x, TOP + h + 13); }
  c.textAlign = "right";
  const step = [1, 2, 5, 10, 20, 50].find((one) => (h * one) / (high[1] - low[1]) > 22) ?? 100;
  for (let r = Math.ceil(low[1] / step) * step; r <= high[1] + 1e-6; r += step) c.fillText(fixed(r, 0), LEFT - 5, at(0, r)[1] + 4);
  c.textAlign = "center"; c.fillText("angle / °", LEFT + w / 2, height - 4);
  c.save(); c.translate(11, TOP + h / 2); c.rotate(-Math.PI / 2); c.fillText("range / m", 0, 0); c.restore();
  image.found.forEach(([range, angle], n) => circle(c, at(angle, range), n === 0));
  scaleBar(c, width - RIGHT + 8, TOP, h, image.span_db);
}

function circle(c, [x, y], first) {
  c.lineWidth = 3.4; c.strokeStyle = "#000"; c.beginPath(); c.arc(x, y, first ? 8 : 6, 0, 7); c.stroke();
  c.lineWidth = 1.6; c.strokeStyle = first ? "#fff" : "#ffb454"; c.beginPath(); c.arc(x, y, first ? 8 : 6, 0, 7); c.stroke();
}

function scaleBar(c, x, top, height, span) {
  for (let n = 0; n < height; n++) {
    const word = LEVELS[Math.round(255 * (1 - n / height))];
    c.fillStyle = `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255})`;
    c.fillRect(x, top + n, 8, 1.5);
  }
  c.fillStyle = css("--muted"); c.textAlign = "left";
  c.fillText("0", x + 11, top + 9); c.fillText(fixed(-span, 0), x + 11, top + height);
  c.fillText("dB", x + 11, top + height / 2 + 4);
}
