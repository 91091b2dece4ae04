/** The shapes of HTTP answers: JSON, never cached, CORS as browsers inside Obsidian need it (compat sheet, 2.1). */

const CORS: Readonly<Record<string, string>> = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "Authorization, Content-Type",
  "Access-Control-Allow-Methods": "GET, POST, PUT, OPTIONS",
  "Access-Control-Expose-Headers": "X-YAOS-Snapshot-Day",
};

/** A JSON answer with CORS. */
export function jsonAnswer(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store", ...CORS, ...headers },
  });
}

/** A JSON answer for the server's own pages, or of an object to its Worker: without CORS, other pages cannot read it. */
export function ownJsonAnswer(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store" } });
}

/** `{"error": ...}` with a status. */
export function errorAnswer(status: number, error: string, headers: Readonly<Record<string, string>> = {}): Response {
  return jsonAnswer({ error }, status, headers);
}

export function textAnswer(text: string, status = 200): Response {
  return new Response(text, { status, headers: { "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" } });
}

/** The answer to a CORS preflight. */
export function preflightAnswer(): Response {
  return new Response(null, { status: 204, headers: CORS });
}

/** A room object's answer as the outside gets it. */
export function withCors(answer: Response): Response {
  const headers = new Headers(answer.headers);
  for (const [name, value] of Object.entries(CORS)) headers.set(name, value);
  headers.set("Cache-Control", "no-store");
  return new Response(answer.body, { status: answer.status, headers });
}
