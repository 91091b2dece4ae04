/** The providers people really use, unchanged, at each of the three doors. */
import { WebSocket } from "ws";
import PartyProvider from "y-partyserver/provider";
import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

/** Where to connect: `wsUrl` without a slash at the end. */
export interface Address {
  readonly wsUrl: string;
  readonly token: string;
}

/** What both providers have in common, as far as tests look. */
export interface StockProvider {
  readonly doc: Y.Doc;
  readonly awareness: WebsocketProvider["awareness"];
  readonly synced: boolean;
  readonly wsconnected: boolean;
  shouldConnect: boolean;
  destroy(): void;
}

/** A provider with its document, and what the server said when it closed a socket. */
export interface StockClient {
  readonly doc: Y.Doc;
  readonly provider: StockProvider;
  /** Every close of a socket, in order. */
  readonly closes: { readonly code: number; readonly reason: string }[];
  /** Frames of outer type 2: reasons the stock providers only log. */
  readonly denials: string[];
  /** Texts after `__YPS:`, in order; only y-partyserver has them. */
  readonly customs: string[];
  /** The connection drops as on a lost network, without a goodbye, and is not opened again. */
  drop(): void;
  /** Ends the client properly. */
  destroy(): void;
}

/** Short, so that tests do not wait; an official option of both. */
const MAX_BACKOFF_MS = 400;

/** y-websocket at `/sync/<room>`: `room` goes into the URL as it is. */
export function openSync(address: Address, room: string, doc: Y.Doc = new Y.Doc()): StockClient {
  const sockets = recordingSockets();
  const provider = new WebsocketProvider(`${address.wsUrl}/sync`, room, doc, {
    params: { token: address.token },
    WebSocketPolyfill: sockets.polyfill,
    maxBackoffTime: MAX_BACKOFF_MS,
    disableBc: true, // else clients of one process sync past the server
  });
  return stockClient(provider, sockets, []);
}

/** y-partyserver at `/parties/<party>/<room>`. */
export function openParty(address: Address, party: string, room: string, doc: Y.Doc = new Y.Doc()): StockClient {
  const sockets = recordingSockets();
  const provider = new PartyProvider(address.wsUrl.replace(/^ws:\/\//, ""), room, doc, {
    party,
    protocol: "ws",
    params: { token: address.token },
    WebSocketPolyfill: sockets.polyfill,
    maxBackoffTime: MAX_BACKOFF_MS,
  });
  return partyClient(provider, sockets);
}

/** The plugin's own pattern: y-partyserver with a path prefix that holds the encoded id (compat sheet, 3.5). */
export function openPlugin(address: Address, vault: string, doc: Y.Doc = new Y.Doc()): StockClient {
  const sockets = recordingSockets();
  const provider = new PartyProvider(address.wsUrl.replace(/^ws:\/\//, ""), vault, doc, {
    prefix: `/vault/sync/${encodeURIComponent(vault)}`,
    protocol: "ws",
    params: { token: address.token, schemaVersion: "2" },
    WebSocketPolyfill: sockets.polyfill,
    maxBackoffTime: MAX_BACKOFF_MS,
  });
  return partyClient(provider, sockets);
}

function partyClient(provider: PartyProvider, sockets: RecordingSockets): StockClient {
  const customs: string[] = [];
  provider.on("custom-message", (text: string) => customs.push(text));
  return stockClient(provider, sockets, customs);
}

function stockClient(provider: StockProvider, sockets: RecordingSockets, customs: string[]): StockClient {
  return {
    doc: provider.doc,
    provider,
    closes: sockets.closes,
    denials: sockets.denials,
    customs,
    drop() {
      provider.shouldConnect = false;
      sockets.last?.terminate();
    },
    destroy() {
      provider.destroy();
      provider.awareness.destroy();
      provider.doc.destroy();
    },
  };
}

interface RecordingSockets {
  readonly polyfill: typeof globalThis.WebSocket;
  readonly closes: { code: number; reason: string }[];
  readonly denials: string[];
  readonly last: WebSocket | null;
}

/** Sockets of `ws` that note closes and auth frames: the providers keep neither. */
function recordingSockets(): RecordingSockets {
  const closes: { code: number; reason: string }[] = [];
  const denials: string[] = [];
  let last: WebSocket | null = null;
  const watch = (socket: WebSocket): void => {
    last = socket;
    socket.on("error", () => {}); // followed by close
    socket.on("close", (code, reason) => closes.push({ code, reason: reason.toString() }));
    socket.on("message", (data, isBinary) => {
      const bytes = new Uint8Array(data as ArrayBuffer);
      // 02 00 <length> <reason>; reasons are short, so the length is one byte.
      if (isBinary && bytes[0] === 2 && bytes[1] === 0) denials.push(new TextDecoder().decode(bytes.subarray(3)));
    });
  };
  class RecordingSocket extends WebSocket {
    constructor(url: string | URL) {
      super(url, { perMessageDeflate: false });
      watch(this);
    }
  }
  return {
    polyfill: RecordingSocket as unknown as typeof globalThis.WebSocket,
    closes,
    denials,
    get last() {
      return last;
    },
  };
}
