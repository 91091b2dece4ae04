/** What the launcher prints once the server answers. Every text ends with the same line, which tells whoever reads along that it serves. */

/** Where the server is. */
interface Place {
  readonly url: string;
  readonly dataDir: string;
}

/** With a token of ours: the token, and how to connect a first client. */
export function welcome(facts: Place & { token: string }): string {
  const { url, token } = facts;
  return `
yaos-server listens on ${url}
  token  ${token}
  data   ${facts.dataDir}

${clientLines(url, token)}

${LAST_LINE}
`;
}

/**
 * Unclaimed: the link to claim it by. The code stands in the fragment, which the browser sends to nobody.
 * @param otherUrls the same server as other machines reach it; a server claimed under its loopback address is of no use to a phone
 */
export function welcomeUnclaimed(facts: Place & { claimCode: string | null; otherUrls: readonly string[] }): string {
  const link = (url: string): string => `${url}/${facts.claimCode === null ? "" : `#${new URLSearchParams({ code: facts.claimCode })}`}`;
  const others = facts.otherUrls.length === 0 ? "" : `\nor, so that phones and other machines can reach it, one of these:\n\n${facts.otherUrls.map((url) => `  ${link(url)}\n`).join("")}`;
  return `
yaos-server listens on ${facts.url}
  data   ${facts.dataDir}${facts.claimCode === null ? "" : `\n  code   ${facts.claimCode}`}

Nobody owns this server yet. Claim it by opening this link in a browser:

  ${link(facts.url)}
${others}
${LAST_LINE}
`;
}

/** Claimed before: the owner has the token, we do not. */
export function welcomeClaimed(facts: Place): string {
  return `
yaos-server listens on ${facts.url}
  token  the one its owner got when claiming it
  data   ${facts.dataDir}

${clientLines(facts.url, "TOKEN")}

${LAST_LINE}
`;
}

const LAST_LINE = "Ctrl-C stops the server; its data stays.";

function clientLines(url: string, token: string): string {
  const wsUrl = url.replace(/^http/, "ws");
  const client = [
    'import * as Y from "yjs"; import { WebsocketProvider } from "y-websocket"; import { WebSocket } from "ws";',
    "const doc = new Y.Doc(); const text = doc.getText(\"hello\");",
    `new WebsocketProvider("${wsUrl}/sync", "hello", doc, { params: { token: ${JSON.stringify(token)} }, WebSocketPolyfill: WebSocket })`,
    '.once("sync", () => text.insert(text.length, "Hello from " + process.pid + ". "));',
    "text.observe(() => console.log(text.toString()));",
  ].join(" ");
  return `Connect a client by pasting these lines; run the second one in two terminals to see them sync:

mkdir -p yaos-hello && cd yaos-hello && npm init -y && npm install yjs y-websocket ws
node --input-type=module -e ${shellQuoted(client)}
curl -H ${shellQuoted(`Authorization: Bearer ${token}`)} ${url}/vault/hello/debug/recent`;
}

/** One word for any POSIX shell, whatever stands in it: inside single quotes only the single quote itself means anything. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
