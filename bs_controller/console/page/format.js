// Numbers as people read them: SI units, a fixed number of digits, a true minus sign.
const minus = (text) => text.replace("-", "\u2212");

export const fixed = (value, digits) => (value == null || !Number.isFinite(value) ? "–" : minus(value.toFixed(digits)));
export const degrees = (rad, digits = 2) => fixed((rad * 180) / Math.PI, digits) + "°";

export function metres(value) {
  if (value == null || !Number.isFinite(value)) return ["–", ""];
  if (Math.abs(value) < 0.01) return [fixed(1e3 * value, 2), "mm"];
  if (Math.abs(value) < 1) return [fixed(1e2 * value, 1), "cm"];
  return [fixed(value, 2), "m"];
}

export function milliseconds(value) {
  if (value == null || !Number.isFinite(value)) return ["–", ""];
  return value < 1000 ? [fixed(value, value < 100 ? 1 : 0), "ms"] : [fixed(value / 1000, 2), "s"];
}

export const joined = ([number, unit]) => `${number} ${unit}`.trim();

export function seconds(value) {
  if (value == null) return ["–", ""];
  if (value < 120) return [fixed(value, 2), "s"];
  const whole = Math.floor(value);
  const parts = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return [parts.map((n) => String(n).padStart(2, "0")).join(":"), ""];
}

// Powers of ten of a logarithmic axis, with the unit's own prefixes.
export const metreTick = (value) => (value >= 1 ? `${value} m` : value >= 0.01 ? `${+(value * 100).toFixed(3)} cm` : value >= 1e-3 ? `${+(value * 1000).toFixed(3)} mm` : `${+(value * 1e6).toFixed(3)} µm`);
