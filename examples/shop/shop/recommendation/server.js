// Recommendation: a service that is not Python. Node.js 18 or newer, standard library only.
//
// What atoll asks of a process, and all it asks: listen on PORT, answer /health, stop on SIGTERM.
// What it gives: the address of each service in `calls` (CATALOG_URL), and a traceparent with each request,
// which we pass on so that our call to the catalog is a hop of the same trace.

import { createServer } from "node:http";
import { beside } from "./ranking.js";

const PORT = Number(process.env.PORT ?? 3001);
const HOST = process.env.HOST ?? "127.0.0.1";
const CATALOG = process.env.CATALOG_URL;

const FRESH = 30_000; // milliseconds for which the catalog's answer is not asked for again
const KEPT = 600_000; // and for which it still serves while the catalog is down
const PAGE = 100;
const MOST_PRODUCTS = 5_000; // what we are ready to hold and to rank
const PATIENCE = 2_000; // milliseconds for one answer of the catalog

let known = { products: [], at: -Infinity };
let asking = null; // the question in flight: callers who come meanwhile wait for it instead of asking again

async function products(headers) {
  const age = Date.now() - known.at;
  if (age < FRESH) return known.products;
  asking ??= allProducts(headers)
    .then((found) => void (known = { products: found, at: Date.now() }))
    .finally(() => (asking = null));
  try {
    await asking;
  } catch (error) {
    if (age > KEPT) throw error;
    log("warn", `the catalog does not answer, its list of ${Math.round(age / 1000)} s ago serves: ${error.message}`, headers);
  }
  return known.products;
}

async function allProducts(headers) {
  const found = [];
  for (let after = ""; found.length < MOST_PRODUCTS; after = found.at(-1).id) {
    const url = `${CATALOG}/products?limit=${PAGE}&after=${encodeURIComponent(after)}`;
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw new Error(`the catalog answered ${response.status}`);
    const page = await response.json();
    found.push(...page);
    if (page.length < PAGE) break;
  }
  return found;
}

// The trace goes on. We record no span of our own, so the catalog's hangs below that of our caller.
function passedOn(incoming) {
  const headers = { accept: "application/json" };
  for (const name of ["traceparent", "tracestate", "baggage"]) {
    if (incoming[name]) headers[name] = incoming[name];
  }
  return headers;
}

async function answer(request) {
  const url = new URL(request.url, "http://recommendation");
  if (url.pathname === "/health") return [200, { status: "ok" }];
  const productId = url.pathname.match(/^\/recommendations\/([a-z0-9-]{2,60})$/)?.[1];
  if (!productId) return problem(404, "Not Found", "There is only /recommendations/{product_id} and /health.");
  if (request.method !== "GET") return problem(405, "Method Not Allowed", "Recommendations can only be read.", { allow: "GET" });
  const limit = Number(url.searchParams.get("limit") ?? 4);
  if (!Number.isInteger(limit) || limit < 1 || limit > 12) {
    return problem(422, "Unprocessable Content", "limit is a whole number from 1 to 12.");
  }
  const headers = passedOn(request.headers);
  try {
    return [200, beside(await products(headers), productId, limit)];
  } catch (error) {
    log("error", `no recommendations without the catalog: ${error.message}`, headers);
    return problem(503, "Service Unavailable", "The catalog does not answer.", { "retry-after": "1" });
  }
}

const problem = (status, title, detail, headers = {}) => [
  status,
  { type: "about:blank", status, title, detail },
  { "content-type": "application/problem+json", ...headers },
];

function log(level, message, headers = {}) {
  const trace_id = headers.traceparent?.split("-")[1];
  console.log(JSON.stringify({ time: new Date().toISOString(), level, message, service: "recommendation", trace_id }));
}

const server = createServer(async (request, response) => {
  request.resume(); // no route has a body
  const [status, body, headers] = await answer(request).catch((error) => problem(400, "Bad Request", error.message));
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text), ...headers });
  response.end(request.method === "HEAD" ? undefined : text);
});

if (!CATALOG) {
  log("error", "CATALOG_URL is not set: declare calls=[Catalog] in the system");
  process.exit(1);
}
server.keepAliveTimeout = 75_000; // longer than our callers keep idle connections, so that they close first
server.listen(PORT, HOST, () => log("info", `recommendation listens on ${HOST}:${PORT}`));
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
