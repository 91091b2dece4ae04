import { encode } from "uqr";

const SVG = "http://www.w3.org/2000/svg";
/** Free modules around the code; readers need four (ISO/IEC 18004). */
const QUIET_ZONE = 4;

/** Side of the code on the screen, CSS pixels, at most. It fits a phone 320 pixels wide. */
const MAX_SIDE = 272;
/** Side of a module at least, CSS pixels; a code with very many modules then grows beyond `MAX_SIDE`, and the page shrinks it. */
const MIN_MODULE = 3;

/** Bytes of ASCII the largest code holds at level M (ISO/IEC 18004, version 40). */
const MAX_BYTES = 2_331;

/** A QR code of ASCII text as an SVG element, black on white in light and dark: many readers refuse inverted codes. Null: the text is too long for any. */
export function qrCode(text: string, label: string): SVGElement | null {
  if (text.length > MAX_BYTES) return null;
  const { data, size } = encode(text, { ecc: "M", border: QUIET_ZONE });
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  // A whole number of pixels for each module, so that all look alike.
  const side = size * Math.max(MIN_MODULE, Math.floor(MAX_SIDE / size));
  svg.setAttribute("width", `${side}`);
  svg.setAttribute("height", `${side}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  svg.setAttribute("shape-rendering", "crispEdges");
  svg.append(shape("rect", { width: `${size}`, height: `${size}`, fill: "#fff" }), shape("path", { d: darkRuns(data), fill: "#000" }));
  return svg;
}

/** One path of horizontal bars, instead of an element for each of some thousand modules. */
function darkRuns(rows: readonly (readonly boolean[])[]): string {
  let path = "";
  for (const [y, row] of rows.entries()) {
    for (let x = 0; x < row.length; x++) {
      if (row[x] !== true) continue;
      const start = x;
      while (row[x + 1] === true) x++;
      path += `M${start} ${y}h${x - start + 1}v1H${start}z`;
    }
  }
  return path;
}

function shape(name: "rect" | "path", attributes: Readonly<Record<string, string>>): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
