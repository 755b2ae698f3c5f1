/** The calls the viewer makes; every one rejects with an `ApiError` that says what went wrong. */

import type {
  AtThreshold,
  Correction,
  Film,
  FilmPage,
  Job,
  ModelCard,
  Picture,
  Problem,
  Service,
} from "./types";

const ROOT = "/v1";

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail ?? problem.title);
  }
}

export const address = {
  thumbnail: (id: string) => `${ROOT}/films/${id}/thumbnail`,
  dicom: (id: string, kind: "seg" | "sr" | "sc") => `${ROOT}/films/${id}/dicom/${kind}`,
  events: (since: number) => `${ROOT}/events?since=${since}`,
  corrections: `${ROOT}/corrections/export`,
};

export const films = (query: URLSearchParams) => json<FilmPage>(`/films?${query}`);
export const film = (id: string, signal?: AbortSignal) => json<Film>(`/films/${id}`, { signal });
export const model = () => json<ModelCard>("/model");
export const service = () => json<Service>("/service");

export const atThreshold = (presence: number, query: URLSearchParams) =>
  json<AtThreshold>(`/threshold?presence=${presence}&${query}`);

export async function pixels(id: string, signal?: AbortSignal): Promise<ArrayBuffer> {
  return (await call(`/films/${id}/pixels`, { signal })).arrayBuffer();
}

export async function picture(id: string, kind: Picture, signal?: AbortSignal): Promise<Blob> {
  return (await call(`/films/${id}/${kind}`, { signal })).blob();
}

export async function corrections(id: string, signal?: AbortSignal): Promise<Correction[]> {
  return (await json<{ corrections: Correction[] }>(`/films/${id}/corrections`, { signal }))
    .corrections;
}

export async function correctionMask(
  id: string,
  number: number,
  signal?: AbortSignal,
): Promise<Blob> {
  return (await call(`/films/${id}/corrections/${number}/mask`, { signal })).blob();
}

export function correct(id: string, form: FormData): Promise<Correction> {
  return json<Correction>(`/films/${id}/corrections`, { method: "POST", body: form });
}

export async function setRead(id: string, read: boolean): Promise<void> {
  await call(`/films/${id}/read`, { method: read ? "PUT" : "DELETE" });
}

/** Has a film judged again, by the model that the service has now. */
export async function judge(id: string): Promise<void> {
  await call(`/films/${id}/judge`, { method: "POST" });
}

export async function remove(id: string): Promise<void> {
  await call(`/films/${id}`, { method: "DELETE" });
}

export async function signIn(token: string): Promise<void> {
  await call("/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token }),
  });
}

export async function signOut(): Promise<void> {
  await call("/session", { method: "DELETE" });
}

/** Uploads files; `fetch` tells no progress, so this is the older request. */
export function upload(files: File[], progress: (share: number) => void): Promise<Job> {
  const form = new FormData();
  for (const file of files) form.append("files", file, file.name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${ROOT}/films`);
    request.responseType = "json";
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    };
    request.onload = () => {
      if (request.status < 400 && request.response) resolve(request.response as Job);
      else reject(new ApiError(request.status, asProblem(request.response, request.status)));
    };
    request.onerror = () => reject(unreachable());
    request.send(form);
  });
}

interface Request {
  method?: string;
  headers?: Record<string, string>;
  body?: BodyInit;
  signal?: AbortSignal | undefined;
}

async function call(path: string, request: Request = {}): Promise<Response> {
  const { signal, ...rest } = request;
  let response: Response;
  try {
    response = await fetch(ROOT + path, { ...rest, signal: signal ?? null });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (response.ok) return response;
  const body: unknown = await response.json().catch(() => null);
  throw new ApiError(response.status, asProblem(body, response.status));
}

async function json<T>(path: string, request?: Request): Promise<T> {
  return (await call(path, request)).json() as Promise<T>;
}

function asProblem(body: unknown, status: number): Problem {
  if (body !== null && typeof body === "object" && "title" in body) return body as Problem;
  return { title: `The service answered ${status}, without saying why.`, status };
}

function unreachable(): ApiError {
  return new ApiError(0, {
    title: "The service cannot be reached. Is `pleura serve` still running?",
    status: 0,
  });
}
