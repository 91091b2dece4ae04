import { expect, test } from "vitest";
import { clientAddress, type ConnectionFacts } from "../../src/access/client-address.ts";

const LOCAL: ConnectionFacts = { clientIp: "192.0.2.7:40123" };
const CLOUDFLARE: ConnectionFacts = { colo: "FRA" };
const FORGED = { "X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6", Forwarded: "for=6.6.6.6", "True-Client-IP": "6.6.6.6" };

const address = (headers: Record<string, string>, facts?: ConnectionFacts, trusted?: string): string | null => clientAddress(new Headers(headers), facts, trusted);

test("[LT5] on one machine the peer of the connection, without its port, whatever the headers say", () => {
  expect(address({ ...FORGED, "CF-Connecting-IP": "6.6.6.6" }, LOCAL)).toBe("192.0.2.7");
  expect(address({}, { clientIp: "192.0.2.7:1" })).toBe(address({}, { clientIp: "192.0.2.7:65535" }));
  expect(address({}, { clientIp: "[2001:db8:1:2:3:4:5:6]:40123" })).toBe("2001:db8:1:2::/64");
  expect(address({}, { clientIp: "unix:/tmp/socket" })).toBeNull();
});

test("[LT5] on Cloudflare the platform's header and no other", () => {
  expect(address({ ...FORGED, "CF-Connecting-IP": "198.51.100.4" }, CLOUDFLARE)).toBe("198.51.100.4");
  expect(address(FORGED, CLOUDFLARE)).toBeNull();
  expect(address({ "CF-Connecting-IP": "198.51.100.4" }, { ...CLOUDFLARE, clientIp: "10.0.0.1:2" })).toBe("198.51.100.4");
});

test("[LT5] the owner's proxy: the last entry, which it wrote itself; without one the peer", () => {
  expect(address({ "X-Forwarded-For": "6.6.6.6, 7.7.7.7,198.51.100.9" }, LOCAL, "X-Forwarded-For")).toBe("198.51.100.9");
  expect(address({ "x-client": "198.51.100.9:88" }, LOCAL, "X-Client")).toBe("198.51.100.9");
  expect(address({ "X-Forwarded-For": "unknown" }, LOCAL, "X-Forwarded-For")).toBe("192.0.2.7");
  expect(address({}, LOCAL, "X-Forwarded-For")).toBe("192.0.2.7");
  expect(address({}, LOCAL, "no header name")).toBe("192.0.2.7");
});

test("[LT5] nobody vouches for an address: there is none", () => {
  expect(address({ ...FORGED, "CF-Connecting-IP": "6.6.6.6" })).toBeNull();
  expect(address({}, { clientIp: 7 })).toBeNull();
});

test.each([
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8:0:0::/64"],
  ["2001:DB8::", "2001:db8:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["::1", "0:0:0:0::/64"],
  ["1:2:3:4:5:6:7:8", "1:2:3:4::/64"],
  ["1:2:3:4:5:6:7", null],
  ["1::2::3", null],
  ["1:2:3:4:5:6:7:8:9", null],
  ["12345::", null],
  ["256.1.1.1", null],
  ["1.2.3", null],
  ["", null],
  ["x".repeat(5_000), null],
])("[LT5] %s counts as %s", (text, key) => {
  expect(address({ "CF-Connecting-IP": text }, CLOUDFLARE)).toBe(key);
});
