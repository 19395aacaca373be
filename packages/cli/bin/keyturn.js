#!/usr/bin/env node
// The entry of the command. Only what Node 20 understands stands here, so that an old Node gets a sentence and not a stack.
import { existsSync } from 'node:fs'
import module from 'node:module'

const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  const error = { code: 'ERR_NODE_VERSION', message: `Keyturn needs Node 22.18 or newer; this is ${process.versions.node}` }
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error })}\n`)
  process.stderr.write(`keyturn: ${error.message} [${error.code}]\n`)
  process.exit(2)
}

const source = new URL('../src/main.ts', import.meta.url)
const fresh = existsSync(source)
if (fresh) {
  // A fresh clone has sources and no build: our own packages are then taken from their sources, where they have any.
  module.registerHooks({
    resolve(specifier, context, next) {
      if (!specifier.startsWith('@keyturn/')) return next(specifier, context)
      try {
        return next(specifier, { ...context, conditions: [...context.conditions, 'source'] })
      } catch {
        return next(specifier, context)
      }
    },
  })
}

const { main, processIo } = await import(fresh ? source.href : new URL('../dist/main.mjs', import.meta.url).href)
const code = await main(process.argv.slice(2), processIo())
// What was written must have left before the process does, also into a slow pipe.
process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
