import { defineConfig } from 'tsdown'

// Each part is an entry of its own: it is loaded when a configuration names it.
export default defineConfig({
  entry: ['src/index.ts', 'src/{rotators,stores,targets,gates,alerts}/*.ts', '!src/**/*.test.ts'],
  format: 'esm',
  platform: 'node',
  target: 'node22.18',
  dts: true,
  outExtensions: () => ({ js: '.mjs', dts: '.d.mts' }),
})
