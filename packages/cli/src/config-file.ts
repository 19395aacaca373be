import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { registerHooks } from 'node:module'
import { basename, extname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Config, fail, validateConfig } from '@keyturn/core'
import { kindOf } from './failure.ts'

/** Names looked for in the working directory, in this order. */
export const configNames = ['keyturn.config.ts', 'keyturn.config.mjs', 'keyturn.config.json'] as const

/** A configuration and where it was found. */
export interface ConfigFile {
  readonly path: string
  readonly config: Config
}

/**
 * Finds, loads and checks the configuration.
 *
 * @param given - the path of `--config`; else the names of `configNames` in `cwd`
 * @returns null where none was named and none is there
 * @throws `ERR_CONFIG_NOT_FOUND` where the one named is not there, `ERR_CONFIG` where it cannot be loaded or is wrong
 */
export async function findConfig(cwd: string, given?: string): Promise<ConfigFile | null> {
  const path = given === undefined ? configNames.map((name) => resolve(cwd, name)).find(existsSync) : resolve(cwd, given)
  if (path === undefined) return null
  if (!existsSync(path)) throw fail('ERR_CONFIG_NOT_FOUND', path)
  const value = extname(path) === '.json' ? await json(path) : await program(path)
  return { path, config: validateConfig(value) }
}

async function json(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8')
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    // The parser's message quotes the text around the fault, which may be a secret: only the place is told, where it is known.
    const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1]
    const line = position === undefined ? '' : `; the fault is in line ${text.slice(0, Number(position)).split('\n').length}`
    throw fail('ERR_CONFIG', basename(path), `it is not JSON${line}`)
  }
}

async function program(path: string): Promise<unknown> {
  const hooks = registerHooks({ resolve: findOurs })
  try {
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown }
    if (module.default === undefined)
      throw fail('ERR_CONFIG', basename(path), 'it has no default export. Write "export default defineConfig({ … })"')
    return module.default
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_CONFIG') throw error
    throw fail('ERR_CONFIG', basename(path), `it cannot be loaded (${kindOf(error)}). "node ${basename(path)}" shows why`)
  } finally {
    hooks.deregister()
  }
}

type Resolve = NonNullable<NonNullable<Parameters<typeof registerHooks>[0]>['resolve']>

/** A configuration may import `@keyturn/core` where only the command is installed: then the command's own is taken. */
const findOurs: Resolve = (specifier, context, next) => {
  try {
    return next(specifier, context)
  } catch (error) {
    if (!specifier.startsWith('@keyturn/')) throw error
    return next(specifier, { ...context, parentURL: import.meta.url })
  }
}
