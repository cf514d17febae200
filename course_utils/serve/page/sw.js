// Keeps a copy of every file this page loaded, so that it opens again without the server: newest first, copy otherwise.
// Only files the server hands out go through here (GET, this address). Pictures never do: they are not requests.

const COPIES = "scan-triage";
const OURS = /\/(page\/[^/]+|runtime\/[^/]+|samples\/[^/]+|model\.json|model\.onnx)?$/;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("message", (event) => {              // the page lists what it loaded before we were here
  event.waitUntil(caches.open(COPIES).then((copies) => copies.addAll(event.data)).then(() => event.ports[0]?.postMessage("kept")));
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url), scope = new URL(self.registration.scope);
  const path = "/" + url.pathname.slice(scope.pathname.length);
  if (event.request.method === "GET" && url.origin === scope.origin && OURS.test(path)) {
    event.respondWith(newestOrCopy(event.request));
  }
});

async function newestOrCopy(request) {
  const copies = await caches.open(COPIES);
  try {
    const answer = await fetch(request);
    if (answer.ok) await copies.put(request, answer.clone());
    return answer;
  } catch (error) {
    const copy = await copies.match(request);
    if (copy) return copy;
    throw error;
  }
}
