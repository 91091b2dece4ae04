/** What the launcher prints once the server answers: where it is, the token, and how to connect a first client. */
export function welcome(facts: { url: string; token: string; dataDir: string }): string {
  const { url, token } = facts;
  const wsUrl = url.replace(/^http/, "ws");
  // One shell line in single quotes: the program itself may not contain any.
  const client = [
    'import * as Y from "yjs"; import { WebsocketProvider } from "y-websocket"; import { WebSocket } from "ws";',
    "const doc = new Y.Doc(); const text = doc.getText(\"hello\");",
    `new WebsocketProvider("${wsUrl}/sync", "hello", doc, { params: { token: "${token}" }, WebSocketPolyfill: WebSocket })`,
    '.once("sync", () => text.insert(text.length, "Hello from " + process.pid + ". "));',
    "text.observe(() => console.log(text.toString()));",
  ].join(" ");
  return `
yaos-server listens on ${url}
  token  ${token}
  data   ${facts.dataDir}

Connect a client by pasting these lines; run the second one in two terminals to see them sync:

mkdir -p yaos-hello && cd yaos-hello && npm init -y && npm install yjs y-websocket ws
node --input-type=module -e '${client}'
curl -H "Authorization: Bearer ${token}" ${url}/vault/hello/debug/recent

Ctrl-C stops the server; its data stays.
`;
}
