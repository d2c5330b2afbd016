/** The service worker: the page works without a network after the first visit, and gets shared memory from any host. */

const RELOADED = "skyedge.reloaded";

/**
 * Waits until the service worker answers this page's requests, so that everything fetched from here on is kept.
 *
 * Hosts that cannot send the isolation headers leave the first visit without threads. The service worker adds the
 * headers, so the page is loaded once more before anything large was fetched; then this never returns.
 */
export async function prepareOffline(): Promise<boolean> {
  if (!("serviceWorker" in navigator) || !import.meta.env.PROD) return false;
  try {
    await navigator.serviceWorker.register("./sw.js");
    await Promise.race([navigator.serviceWorker.ready.then(controlled), new Promise((resolve) => setTimeout(resolve, 4000))]);
  } catch {
    return false; // private windows and self-signed certificates refuse service workers: the page works, but online only
  }
  const isControlled = navigator.serviceWorker.controller !== null;
  if (isControlled && !crossOriginIsolated && sessionStorage.getItem(RELOADED) === null) {
    sessionStorage.setItem(RELOADED, "1");
    location.reload();
    await new Promise(() => {});
  }
  return isControlled;
}

function controlled(): Promise<void> {
  if (navigator.serviceWorker.controller !== null) return Promise.resolve();
  return new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true }));
}
