/** What a GET of an attachment asks for: conditions and ranges (RFC 9110, sections 13 and 14), the same for every backend. */

/** `whole` and `part` send bytes `start` to `end` (exclusive). */
export type ReadPlan =
  | { readonly kind: "whole" | "part"; readonly start: number; readonly end: number }
  | { readonly kind: "not-modified" }
  | { readonly kind: "unsatisfiable" };

/** The tag of content that is named by its hash: strong, and the same wherever the bytes lie. */
export function entityTag(hash: string): string {
  return `"${hash}"`;
}

/** Whether the answer may be anything but the whole content, so that its size must be known before. */
export function isPlain(headers: Headers): boolean {
  return !headers.has("Range") && !headers.has("If-None-Match");
}

/** @param byteLength of the content @param etag as `entityTag` gives it */
export function planRead(headers: Headers, etag: string, byteLength: number): ReadPlan {
  const whole: ReadPlan = { kind: "whole", start: 0, end: byteLength };
  const ifNoneMatch = headers.get("If-None-Match");
  if (ifNoneMatch !== null && namesTag(ifNoneMatch, etag)) return { kind: "not-modified" };
  const range = headers.get("Range");
  if (range === null) return whole;
  const ifRange = headers.get("If-Range");
  // A date, or a weak tag, proves nothing here.
  if (ifRange !== null && ifRange.trim() !== etag) return whole;
  return parseRange(range, byteLength) ?? whole;
}

/** Weak comparison, as the header wants it. */
function namesTag(list: string, etag: string): boolean {
  if (list.trim() === "*") return true;
  return list.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
}

/** One range of bytes, or null for what a server may ignore: other units, several ranges, no syntax at all. */
function parseRange(header: string, byteLength: number): ReadPlan | null {
  const found = /^bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(header.trim());
  if (found === null) return null;
  const [first, last] = [found[1] ?? "", found[2] ?? ""];
  if (first === "" && last === "") return null;
  if (first === "") {
    const count = Math.min(Number(last), byteLength);
    return count === 0 ? { kind: "unsatisfiable" } : { kind: "part", start: byteLength - count, end: byteLength };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return null;
  if (start >= byteLength) return { kind: "unsatisfiable" };
  return { kind: "part", start, end: last === "" ? byteLength : Math.min(Number(last) + 1, byteLength) };
}
