import { crc32 } from "node:zlib";
import type { Checksum } from "../../src/ports.ts";

/** CRC-32 as zlib computes it. */
export const checksum: Checksum = (bytes) => crc32(bytes);
