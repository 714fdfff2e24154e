// Keeps what the page has loaded, so that it works offline, and adds the two headers that give a page threads, for
// servers that can't send them. The network comes first: a new version is never hidden by an old copy.
const CACHE = 'onpar-1';

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

// The page tells what it loaded before this worker was there.
self.addEventListener('message', (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    await Promise.all(event.data.map((address) => cache.add(address).catch(() => undefined)));
    event.source.postMessage('kept');
  };
  event.waitUntil(keep());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== self.location.origin) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request.url, response.clone());
    return isolate(response);
  } catch (error) {
    const kept = await cache.match(request.url, { ignoreSearch: true });
    if (kept === undefined) throw error;
    return isolate(kept);
  }
}

function isolate(response) {
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
