import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig, type Plugin } from "vite";

const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
const PUBLIC = new URL("public", import.meta.url).pathname;

/** Tells the service worker which files the page consists of, and a version that changes with any file. */
function serviceWorker(): Plugin {
  return {
    name: "skyedge-service-worker",
    generateBundle(_, bundle) {
      const hash = createHash("sha256");
      for (const name of readdirSync(PUBLIC, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())) {
        hash.update(readFileSync(join(name.parentPath, name.name)));
      }
      for (const output of Object.values(bundle)) hash.update(output.type === "chunk" ? output.code : output.source);
      // Interpreters and models are kept when the page first asks for them, so that nothing is fetched in vain.
      const pages = Object.keys(bundle).filter((name) => name !== "sw.js" && /\.(html|css)$|assets\/main-.*\.js$/.test(name));
      const shell = ["./", ...pages, "manifest.webmanifest", "icon.svg"];
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk") throw new Error("got no sw.js, expected the service worker as an entry");
      worker.code = worker.code.replace("__SHELL__", JSON.stringify(shell).replaceAll('"', '\\"')).replace("__VERSION__", hash.digest("hex").slice(0, 12));
    },
  };
}

export default defineConfig(({ mode }) => ({
  base: "./",
  server: { headers: ISOLATION },
  // onnxruntime-web's files are served from runtime/, not bundled.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "module", "browser", "production"] },
  logLevel: "warn",
  // In the package the worker is one file: an app's own Vite copies it, but not what it would import.
  worker: { format: "es", rollupOptions: { checks: { pluginTimings: false }, output: mode === "lib" ? { codeSplitting: false } : {} } },
  plugins: mode === "lib" ? [] : [serviceWorker()],
  publicDir: mode === "lib" ? false : "public",
  build:
    mode === "lib"
      ? { target: "es2022", outDir: "dist-lib", lib: { entry: "src/skyedge.ts", formats: ["es"], fileName: "skyedge" } }
      : {
          target: "es2022",
          modulePreload: false,
          rollupOptions: {
            checks: { pluginTimings: false },
            input: { main: "index.html", sw: "src/sw.ts" },
            output: { entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
          },
        },
}));
