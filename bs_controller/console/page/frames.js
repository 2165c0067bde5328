// The message of the console, as bs_controller/console/frames.py lays it out: header length, JSON header, padding, arrays.
const KINDS = { "<f4": Float32Array, "|u1": Uint8Array };
const text = new TextDecoder();

export function decode(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(text.decode(new Uint8Array(buffer, 4, length)));
  const begin = Math.ceil((4 + length) / 8) * 8;
  const sections = {};
  for (const [name, values] of Object.entries(header.sections)) sections[name] = { ...values, arrays: {} };
  for (const { section, name, dtype, shape, offset } of header.arrays) {
    const size = shape.reduce((product, n) => product * n, 1);
    const array = new KINDS[dtype](buffer, begin + offset, size);
    array.shape = shape;
    sections[section].arrays[name] = array;
  }
  return { status: header.status, sections };
}
