/** What the pages ask of the server they came from. Every outcome is a value with words for it, so that no failure is silent. */

export type ClaimOutcome = "claimed" | "taken" | "wrong code" | "busy" | "unreachable" | { readonly refused: string };
/** `unreachable`: no answer came; an answer that is none of the known ones is `refused`, with its status and its text. */
export type TokenCheck = "good" | "wrong" | "busy" | "unreachable" | { readonly refused: string };

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
  return refusedBy(answer, error);
}

/** Whether the server takes the token, found out by asking for a ticket, which changes nothing and wakes no room. Of what `entryFault` finds it cannot ask. */
export async function checkToken(token: string, vaultId: string): Promise<TokenCheck> {
  const answer = await ask(`/vault/${encodeURIComponent(vaultId)}/auth/ticket`, {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
  });
  if (answer === null) return "unreachable";
  if (answer.ok) return "good";
  if (answer.status === HTTP_UNAUTHORIZED) return "wrong";
  return answer.status === HTTP_TOO_MANY ? "busy" : refusedBy(answer, await errorText(answer));
}

function refusedBy(answer: Response, error: string): { readonly refused: string } {
  return { refused: `${answer.status} ${error}`.trim() };
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
