import { defineConfig } from 'vitest/config'

// Workspaces are imported as their sources, so that tests need no build.
const conditions = ['source', 'node']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    globalSetup: ['test/harness/global-setup.ts'],
    pool: 'forks',
    // One Postgres serves all files: more workers than this wait for each other and for its connections.
    maxWorkers: 2,
    // PGlite lives for seconds: to compile its WebAssembly a second time, faster, costs more processor time than it saves.
    execArgv: ['--liftoff-only'],
    // Only to end what hangs: on a loaded machine a test may take many times as long as on an idle one.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    teardownTimeout: 300_000,
    expect: { poll: { timeout: 120_000 } },
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts'],
      exclude: ['**/*.test.ts'],
      reporter: ['text-summary'],
    },
  },
})
