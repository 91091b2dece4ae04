/**
 * Whose request it is, as far as the platform vouches for it. A header anybody can set names nobody: `X-Forwarded-For` counts only when the owner
 * said that a proxy of theirs writes it, and `CF-Connecting-IP` only on Cloudflare.
 */

/** What the platform says of the connection. On Cloudflare `colo` is the data centre; `workerd serve` gives `clientIp` with the port (both tried). */
export interface ConnectionFacts {
  readonly colo?: unknown;
  readonly clientIp?: unknown;
}

/**
 * The key under which failures of an address are counted, or null when nobody vouches for one.
 * IPv6 is cut to its first 64 bits, since one subscriber has at least those to choose from; IPv4 inside IPv6 counts as IPv4.
 * @param trustedHeader name of the header the owner's own proxy writes; the last address in it is the one that proxy saw
 */
export function clientAddress(headers: Headers, facts: ConnectionFacts | undefined, trustedHeader: string | undefined): string | null {
  const named = trustedHeader === undefined ? null : headerAddress(headers, trustedHeader);
  if (named !== null) return named;
  if (typeof facts?.colo === "string") return headerAddress(headers, "CF-Connecting-IP");
  return typeof facts?.clientIp === "string" ? addressKey(withoutPort(facts.clientIp)) : null;
}

function headerAddress(headers: Headers, name: string): string | null {
  // A name that is no header name cannot be asked for: `get` would throw.
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) return null;
  const last = headers.get(name)?.split(",").at(-1)?.trim();
  return last === undefined ? null : addressKey(withoutPort(last));
}

/** `1.2.3.4:5`, `[::1]:5`, `[::1]` and bare addresses alike. */
function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(text);
  if (bracketed !== null) return bracketed[1] ?? "";
  const four = /^([\d.]+):\d+$/.exec(text);
  return four === null ? text : (four[1] ?? "");
}

function addressKey(address: string): string | null {
  if (isFour(address)) return address;
  const groups = sixGroups(address.split("%")[0] ?? "");
  if (groups === null) return null;
  const inner = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (inner) return groups.slice(6).flatMap((group) => [group >> 8, group & 0xff]).join(".");
  return `${groups.slice(0, 4).map((group) => group.toString(16)).join(":")}::/64`;
}

function isFour(text: string): boolean {
  const parts = text.split(".");
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
}

/** The eight 16-bit groups of an IPv6 address (RFC 4291, section 2.2), or null. */
function sixGroups(text: string): number[] | null {
  const halves = text.split("::");
  if (halves.length > 2 || text.length > 45) return null;
  const [head, tail] = [groupsOf(halves[0] ?? ""), groupsOf(halves[1] ?? "")];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  return [...head, ...Array.from({ length: missing }, () => 0), ...tail];
}

function groupsOf(half: string): number[] | null {
  if (half === "") return [];
  const groups: number[] = [];
  const parts = half.split(":");
  for (const [at, part] of parts.entries()) {
    if (at === parts.length - 1 && isFour(part)) {
      const [a = 0, b = 0, c = 0, d = 0] = part.split(".").map(Number);
      groups.push((a << 8) | b, (c << 8) | d);
    } else if (/^[\da-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}
