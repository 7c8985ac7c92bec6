import { defineConfig, loadEnv } from 'vite';

// Relative paths, so that the page works below any prefix that a proxy adds. Names carry a hash of the content: they are cached for good.
export default defineConfig({
  base: './',
  build: { outDir: '../dist', emptyOutDir: true, target: 'es2022', sourcemap: false, chunkSizeWarningLimit: 700 },
  server: { proxy: { '/api': loadEnv('', '.', 'VARVE_').VARVE_URL ?? 'http://127.0.0.1:9009' } },
});
