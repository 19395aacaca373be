import { defineConfig } from 'tsdown'

// Each driver is an entry of its own: an application loads those it names. What they share is split off into common chunks.
export default defineConfig({
  entry: ['src/index.ts', 'src/{codecs,databases,key-wrappers,keyring-stores,adapters}/*.ts', '!src/**/*.test.ts'],
  format: 'esm',
  platform: 'node',
  target: 'node22.18',
  dts: true,
  outExtensions: () => ({ js: '.mjs', dts: '.d.mts' }),
})
