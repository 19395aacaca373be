import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { fail, nearest } from '@keyturn/core'
import type { Preset } from './preset.ts'

// The folder that holds the presets, wherever beside it a bundler has put this code.
const [, base = '', root = 'src'] = /^(.*\/(src|dist)\/)/.exec(import.meta.url) ?? []
const extension = root === 'src' ? 'ts' : 'mjs'
const folder = `${base}applications/`

/** The names of the presets there are: the files of their folder. */
export async function presetNames(): Promise<string[]> {
  const files = await readdir(fileURLToPath(folder))
  const names = files.flatMap((file) => /^([a-z0-9-]+)\.m?[jt]s$/.exec(file)?.[1] ?? [])
  return [...new Set(names)].sort()
}

/**
 * Finds a preset. A bare name is one of ours: a file of their folder. A name with a slash or a dot is a module of the user's, whose
 * default export is the preset.
 *
 * @throws `ERR_UNKNOWN_NAME` with the nearest names
 * @example
 * (await loadPreset('langfuse')).key.env // 'ENCRYPTION_KEY'
 */
export async function loadPreset(name: string): Promise<Preset> {
  const names = await presetNames()
  const own = /[./]/.test(name)
  if (!own && !names.includes(name)) throw fail('ERR_UNKNOWN_NAME', 'preset', name, nearest(name, names))
  const specifier = own ? (name.startsWith('.') ? pathToFileURL(resolve(name)).href : name) : `${folder}${name}.${extension}`
  const found: unknown = await import(specifier).then(
    (module) => module.default,
    () => null,
  )
  if (!isPreset(found)) throw fail('ERR_UNKNOWN_NAME', 'preset', name, nearest(name, names))
  return found
}

function isPreset(value: unknown): value is Preset {
  return typeof value === 'object' && value !== null && 'name' in value && 'fields' in value && 'key' in value
}
