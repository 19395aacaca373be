import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  // Relative addresses: the server says with <base> under which prefix it stands.
  base: './',
  plugins: [react(), tailwindcss()],
  build: {
    outDir: 'dist',
    // What understands light-dark(): the tokens are written with it.
    target: ['chrome125', 'firefox125', 'safari17.5'],
    // A data: address would be refused by the policy of the page.
    assetsInlineLimit: 0,
    sourcemap: false,
  },
})
