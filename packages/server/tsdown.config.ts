import { defineConfig } from 'tsdown'

export default defineConfig({
  entry: ['src/index.ts'],
  format: 'esm',
  platform: 'node',
  target: 'node22.18',
  dts: true,
  outExtensions: () => ({ js: '.mjs', dts: '.d.mts' }),
})
