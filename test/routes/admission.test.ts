import { expect, test } from "vitest";
import { bearerToken, checkClientSchema, doorCredential } from "../../worker/admission.ts";

/** Loaded by a computed name: the file's types are the Worker's, which this project's type check does not know. */
const routes = ["../../worker/routes.ts"].join();
const { handleRequest } = (await import(routes)) as { handleRequest: (request: Request, env: unknown) => Promise<Response> };

/** The Worker's bindings with a room that counts who touches it. */
function fakeEnv(variables: Record<string, string>): { env: unknown; touched: string[] } {
  const touched: string[] = [];
  const rooms = {
    idFromName: (name: string) => name,
    get: (name: string) => ({
      fetch: async (url: string): Promise<Response> => {
        touched.push(`${name} ${new URL(url).pathname}`);
        return new Response("{}");
      },
    }),
  };
  return { env: { YAOS_SYNC: rooms, SYNC_TOKEN: "right", ...variables }, touched };
}

function compact(path: string, token: string): Request {
  return new Request(`https://host${path}`, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
}

test("[AU1] the header comes before the query", () => {
  const headers = new Headers({ Authorization: "Bearer fromHeader" });
  expect(doorCredential(headers, new URLSearchParams("token=fromQuery"))).toBe("fromHeader");
  expect(doorCredential(new Headers(), new URLSearchParams("token=fromQuery"))).toBe("fromQuery");
  expect(bearerToken(new Headers({ Authorization: "bearer x" }))).toBeNull();
});

test("[AU4] a schema that is no whole number is refused", () => {
  const cases = [["schemaVersion=2", 2], ["schema=0", 0], ["schemaVersion=3&schema=x", 3], ["schemaVersion=", 1], ["", 1]] as const;
  for (const [query, version] of cases) expect(checkClientSchema(new URLSearchParams(query), true), query).toEqual({ ok: true, version });
  expect(checkClientSchema(new URLSearchParams(), false)).toEqual({ ok: true, version: null });
  for (const bad of ["schemaVersion=two", "schema=-1", "schema=1.5"]) expect(checkClientSchema(new URLSearchParams(bad), false).ok, bad).toBe(false);
});

test("[CP6] [AU5] compaction is dark without its variable, and closed without the credential", async () => {
  for (const path of ["/vault/v/debug/compact", "/__yaos/compact?vault=v"]) {
    const dark = fakeEnv({});
    const refused = await handleRequest(compact(path, "right"), dark.env);
    expect(refused.status).toBe(404);
    expect(await refused.json()).toEqual({ error: "not found" });
    const empty = fakeEnv({ YAOS_ENABLE_ADMIN_ROUTES: "" });
    expect((await handleRequest(compact(path, "right"), empty.env)).status).toBe(404);
    const open = fakeEnv({ YAOS_ENABLE_ADMIN_ROUTES: "1" });
    expect((await handleRequest(compact(path, "wrong"), open.env)).status).toBe(401);
    expect([...dark.touched, ...empty.touched, ...open.touched]).toEqual([]);
    expect((await handleRequest(compact(path, "right"), open.env)).status).toBe(200);
    expect(open.touched).toEqual(["v /__yaos/compact"]);
  }
});
