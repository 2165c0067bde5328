// Colours come from the style sheet, so that light and dark are told in one place; schemes have a colour and a mark each.
const order = [];

const known = new Map(); // asking the browser takes longer than drawing
export function css(name) {
  if (!known.has(name)) known.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return known.get(name);
}

export function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  known.clear();
}

export function knowSchemes(names) {
  for (const name of names) if (!order.includes(name)) order.push(name);
}

function index(scheme) {
  if (!order.includes(scheme)) order.push(scheme);
  return order.indexOf(scheme);
}

// Schemes in the order of the run's configuration.
export const inOrder = (schemes) => [...schemes].sort((a, b) => index(a) - index(b));
export const schemeColour = (scheme) => css(`--s${index(scheme) % 8}`);
export const schemeMark = (scheme) => MARKS[index(scheme) % MARKS.length];

export const schemeShape = (scheme) => SHAPES[index(scheme) % SHAPES.length];

// The same shapes for legends, as clip paths.
const SHAPES = ["circle()", "inset(1px)", "polygon(50% 0, 100% 50%, 50% 100%, 0 50%)", "polygon(50% 0, 100% 95%, 0 95%)", "polygon(50% 100%, 100% 5%, 0 5%)"];
const MARKS = [
  (c, x, y, r) => c.arc(x, y, r, 0, 7),
  (c, x, y, r) => c.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8),
  (c, x, y, r) => { c.moveTo(x, y - 1.3 * r); c.lineTo(x + 1.3 * r, y); c.lineTo(x, y + 1.3 * r); c.lineTo(x - 1.3 * r, y); c.closePath(); },
  (c, x, y, r) => { c.moveTo(x, y - 1.2 * r); c.lineTo(x + 1.1 * r, y + 0.8 * r); c.lineTo(x - 1.1 * r, y + 0.8 * r); c.closePath(); },
  (c, x, y, r) => { c.moveTo(x, y + 1.2 * r); c.lineTo(x + 1.1 * r, y - 0.8 * r); c.lineTo(x - 1.1 * r, y - 0.8 * r); c.closePath(); },
];
