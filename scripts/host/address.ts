import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { HostError } from "./host-error.ts";

/** `host:port` as workerd and URLs write it: an IPv6 address in brackets. */
export function addressOf(host: string, port: number): string {
  return `${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
}

/** The address somebody on this machine uses for a server that listens on `host`: "any interface" is reached by loopback. */
export function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "*") return "127.0.0.1";
  return host === "::" || host === "[::]" ? "::1" : host;
}

/** Whether only this machine reaches a server that listens on `host`. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** This machine's IPv4 addresses other machines may reach it by. */
export function outsideAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((all) => (all ?? []).filter((one) => one.family === "IPv4" && !one.internal).map((one) => one.address));
}

/**
 * Makes sure that nobody listens on the address, for a clearer message than the one workerd ends with.
 * @throws {HostError} when the port is taken, needs privileges, or the host is not an address of this machine.
 */
export async function assertListenable(host: string, port: number): Promise<void> {
  if (port === 0) return;
  const probe = createServer();
  try {
    await new Promise<void>((done, fail) => {
      probe.once("error", fail);
      probe.listen({ port, host: host === "*" ? "::" : host.replace(/^\[|\]$/g, ""), exclusive: true }, done);
    });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const where = addressOf(host, port);
    if (code === "EADDRINUSE") throw new HostError(`Cannot listen on ${where}: the port is in use; choose another with PORT, or PORT=0 for a free one`);
    throw new HostError(`Cannot listen on ${where}: ${code ?? String(cause)}`, { cause });
  } finally {
    probe.close();
  }
}
