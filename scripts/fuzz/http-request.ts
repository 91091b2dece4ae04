/** One request as bytes on a socket, and its answer. By hand, because HTTP clients refuse to send most of what a fuzz run must send. */
import { connect } from "node:net";

export interface RawRequest {
  readonly method: string;
  /** Path and query as sent. */
  readonly target: string;
  /** In order, duplicates included. `Host` and `Connection` are among them; the framing of the body is not. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array | null;
  /** How the body's end is told: its length, chunks, or a length it never reaches. */
  readonly framing: "length" | "chunked" | "cut-off";
}

export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; of duplicates the last. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Answers take milliseconds; after this long there is none. */
const ANSWER_TIMEOUT_MS = 10_000;
/** A body beyond this is not read on: the status has been judged by then. */
const MAX_BODY_CHARS = 200_000;
/** What a body that is cut off lacks. */
const MISSING_BYTES = 1_000;

/**
 * Sends the request on a connection of its own.
 * @returns null when the server ended the connection without an answer
 * @throws when it neither answers nor ends within ten seconds, or cannot be reached
 */
export function send(port: number, request: RawRequest): Promise<RawAnswer | null> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let text = "";
    const timer = setTimeout(() => finish(() => reject(new Error(`no answer in ${ANSWER_TIMEOUT_MS} ms`))), ANSWER_TIMEOUT_MS);
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      settle();
      socket.destroy();
    };
    socket.setEncoding("latin1");
    socket.on("connect", () => {
      // One write: a server that answers before it has the body ends the connection, and a later write would fail and lose the answer.
      socket.write(bytesOf(request));
      if (request.framing === "cut-off") socket.end();
    });
    socket.on("data", (part: string) => {
      text += part;
      const answer = parse(text, request.method, false);
      if (answer !== null) finish(() => resolve(answer));
    });
    const ended = (): void => finish(() => resolve(parse(text, request.method, true)));
    socket.on("close", ended);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      // A server that has answered may refuse the rest of a body; what it said before counts.
      if (error.code === "ECONNREFUSED") finish(() => reject(error));
      else ended();
    });
  });
}

function bytesOf(request: RawRequest): Buffer {
  const { body, framing } = request;
  const lines = [`${request.method} ${request.target} HTTP/1.1`, ...request.headers.map(([name, value]) => `${name}: ${value}`)];
  if (body !== null && framing === "chunked") lines.push("Transfer-Encoding: chunked");
  else if (body !== null) lines.push(`Content-Length: ${body.byteLength + (framing === "cut-off" ? MISSING_BYTES : 0)}`);
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  if (body === null) return head;
  return Buffer.concat([head, ...(framing === "chunked" ? chunks(body) : [body])]);
}

function chunks(body: Uint8Array): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < body.byteLength; at += 10_000) {
    const part = body.subarray(at, at + 10_000);
    parts.push(Buffer.from(`${part.byteLength.toString(16)}\r\n`), part, Buffer.from("\r\n"));
  }
  return [...parts, Buffer.from("0\r\n\r\n")];
}

/** The answer once it is whole; with `ended` whatever there is of it, or null. */
function parse(text: string, method: string, ended: boolean): RawAnswer | null {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd === -1) return null;
  const [statusLine = "", ...lines] = text.slice(0, headEnd).split("\r\n");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]);
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
  const body = text.slice(headEnd + 4);
  const answer = { status, headers, body };
  if (ended || status === 101 || status === 204 || status === 304 || method === "HEAD" || body.length > MAX_BODY_CHARS) return answer;
  if (headers.get("transfer-encoding") === "chunked") return body.endsWith("0\r\n\r\n") ? { ...answer, body: unchunk(body) } : null;
  return body.length >= Number(headers.get("content-length") ?? 0) ? answer : null;
}

function unchunk(body: string): string {
  let out = "";
  for (let at = 0; ; ) {
    const lineEnd = body.indexOf("\r\n", at);
    const length = Number.parseInt(body.slice(at, lineEnd), 16);
    if (!(length > 0)) return out;
    out += body.slice(lineEnd + 2, lineEnd + 2 + length);
    at = lineEnd + 2 + length + 2;
  }
}
