// Talks to /api/v1. The key is kept for this tab only and goes nowhere but to this gateway.

import { readEvents } from "./event-stream.js";

const KEY = "skybridge.key";
const LISTENERS = new Set();

/** What went wrong, in the API's own words. */
export class ApiError extends Error {
  constructor(status, code, message, details = {}, requestId = "") {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.details = details;
    this.requestId = requestId;
  }
}

export const storedKey = () => sessionStorage.getItem(KEY) ?? "";
export const keepKey = (key) => sessionStorage.setItem(KEY, key);
export const forgetKey = () => sessionStorage.removeItem(KEY);

/** Calls `listener` whenever the gateway refuses the key. */
export function onRefusedKey(listener) {
  LISTENERS.add(listener);
}

/** The address of a path of the API, whatever folder the page is served from. */
export const address = (path) => new URL(`api/v1/${path}`, document.baseURI);

/** The gateway's own base address, for code samples. */
export const gatewayBase = () => new URL(".", document.baseURI).href.replace(/\/$/, "");

/** The JSON answer to a request; null for an empty one. Raises ApiError. */
export async function call(method, path, body, signal) {
  const response = await send(method, path, body, signal);
  if (response.status === 204) return null;
  return readJson(response);
}

export const get = (path, signal) => call("GET", path, undefined, signal);

/**
 * Posts and reads the answer as a stream of {event, data}.
 * Gives {headers, events}: the response's headers and the async iterator. Raises ApiError.
 */
export async function stream(path, body, signal) {
  const response = await send("POST", path, body, signal);
  return { status: response.status, headers: [...response.headers], events: readEvents(response.body) };
}

async function send(method, path, body, signal) {
  const headers = { accept: "application/json, text/event-stream" };
  const key = storedKey();
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path), {
      method, headers, signal, cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new ApiError(0, "UNREACHABLE", "The gateway cannot be reached. Is it running, and is this device online?");
  }
  if (response.ok) return response;
  const failure = await readFailure(response);
  if (response.status === 401) LISTENERS.forEach((listener) => listener(failure));
  throw failure;
}

async function readJson(response) {
  try {
    return await response.json();
  } catch (failure) {
    if (failure.name === "AbortError") throw failure;
    throw new ApiError(response.status, "UNREADABLE", "The gateway's answer is not JSON.");
  }
}

async function readFailure(response) {
  const requestId = response.headers.get("x-request-id") ?? "";
  let found = {};
  try {
    found = (await response.json()).error ?? {};
  } catch {
    // A proxy's error page: the status is all that can be told.
  }
  const message = found.message || `The gateway answered with status ${response.status} and no message.`;
  return new ApiError(response.status, found.code || found.type || String(response.status), message, found.details ?? {}, requestId);
}

/** The error that an `error` event of a stream carries. */
export function streamedError(data, requestId = "") {
  const found = data?.error ?? {};
  return new ApiError(0, found.code ?? "STREAM_ERROR", found.message ?? "The stream ended with an error.", found.details ?? {}, requestId);
}
