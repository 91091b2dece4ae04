/**
 * The links that carry a server's address, its token and a vault id into Obsidian (compat sheet, 2.4). Both are made and read in the
 * browser only: the second keeps its facts in the fragment, which browsers send to nobody.
 */

/** What a device needs to connect. */
export interface Setup {
  /** Origin of the server, such as `https://yaos.example.workers.dev`. */
  readonly host: string;
  readonly token: string;
  readonly vaultId: string;
}

/** Why a fragment is no setup; the page has words for each. */
export type SetupFault = "empty" | "no host" | "bad host" | "no token";

/** The deep link that the YAOS plugin answers to, form-encoded as existing servers do. The vault id is left out when it is blank. */
export function obsidianLink(setup: Setup): string {
  return `obsidian://yaos?${new URLSearchParams({ action: "setup", ...fields(setup) })}`;
}

/** The link a QR code carries: the page of the same server that makes the deep link on the phone. */
export function mobileLink(setup: Setup): string {
  return `${setup.host}/mobile-setup#${new URLSearchParams(fields(setup))}`;
}

/** Reads what {@link mobileLink} wrote. @param fragment with or without its `#` */
export function readSetup(fragment: string): Setup | SetupFault {
  const query = new URLSearchParams(fragment.replace(/^#/, ""));
  const value = (name: string): string => (query.get(name) ?? "").trim();
  const [host, token, vaultId] = [value("host"), value("token"), value("vaultId")];
  if (host === "" && token === "" && vaultId === "") return "empty";
  if (host === "") return "no host";
  if (!isWebAddress(host)) return "bad host";
  if (token === "") return "no token";
  return { host, token, vaultId };
}

/** Whether a phone, or any other machine, cannot mean this server by that name. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function fields(setup: Setup): Record<string, string> {
  const { host, token, vaultId } = setup;
  return vaultId === "" ? { host, token } : { host, token, vaultId };
}

function isWebAddress(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}
