/** What the pages ask of the server they came from. Every outcome is a value with words for it, so that no failure is silent. */

export type ClaimOutcome = "claimed" | "taken" | "wrong code" | "busy" | "unreachable" | { readonly refused: string };
export type TokenCheck = "good" | "wrong" | "busy" | "unreachable";

const HTTP_UNAUTHORIZED = 401;
const HTTP_TOO_MANY = 429;

/**
 * Claims the server with a token made here. The answer to a claim can be lost on the way after the claim itself succeeded, so
 * "already claimed" counts as success when the server knows our token. Asking again with the same token is therefore always safe.
 */
export async function claim(token: string, vaultId: string, claimCode: string): Promise<ClaimOutcome> {
  const answer = await ask("/claim", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(claimCode === "" ? { token, vaultId } : { token, vaultId, claimCode }),
  });
  if (answer === null) return "unreachable";
  if (answer.ok) return "claimed";
  const error = await errorText(answer);
  if (error === "already_claimed") {
    const ours = await checkToken(token, vaultId);
    return ours === "good" ? "claimed" : ours === "wrong" ? "taken" : ours;
  }
  if (error === "invalid claim code") return "wrong code";
  if (answer.status === HTTP_TOO_MANY) return "busy";
  return { refused: `${answer.status} ${error}`.trim() };
}

/** Whether the server takes the token, found out by asking for a ticket, which changes nothing and wakes no room. */
export async function checkToken(token: string, vaultId: string): Promise<TokenCheck> {
  const answer = await ask(`/vault/${encodeURIComponent(vaultId)}/auth/ticket`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
  });
  if (answer === null) return "unreachable";
  if (answer.ok) return "good";
  return answer.status === HTTP_UNAUTHORIZED ? "wrong" : answer.status === HTTP_TOO_MANY ? "busy" : "unreachable";
}

async function ask(path: string, init: RequestInit): Promise<Response | null> {
  try {
    return await fetch(path, { ...init, cache: "no-store", redirect: "error" });
  } catch {
    return null;
  }
}

async function errorText(answer: Response): Promise<string> {
  try {
    const body = (await answer.json()) as { error?: unknown } | null;
    return typeof body?.error === "string" ? body.error : "";
  } catch {
    return "";
  }
}
