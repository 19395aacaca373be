import { defineConfig } from 'tsdown'

// Each preset is an entry of its own: the command loads the one that is named.
export default defineConfig({
  entry: ['src/index.ts', 'src/applications/*.ts', '!src/**/*.test.ts'],
  format: 'esm',
  platform: 'node',
  target: 'node22.18',
  dts: true,
  outExtensions: () => ({ js: '.mjs', dts: '.d.mts' }),
})
