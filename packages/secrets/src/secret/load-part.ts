import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { fail } from '@keyturn/core'
import type { z } from 'zod'
import type { World } from './call.ts'

/** Folders of interchangeable parts, and what one of them is called. */
const kinds = { rotators: 'rotator', stores: 'store', targets: 'target', gates: 'gate', alerts: 'alert' } as const
export type PartFolder = keyof typeof kinds

// The folder that holds the folders of parts, wherever in it a bundler has put this code.
const [, base = '', root = 'src'] = /^(.*\/(src|dist)\/)/.exec(import.meta.url) ?? []
const extension = root === 'src' ? 'ts' : 'mjs'

interface PartModule<T> {
  readonly options: z.ZodType
  readonly default: (options: never, world: World) => T
}

/**
 * Makes a part from its configuration. A bare name is one of ours: a file of its folder. A name with a slash or a dot is a module of
 * the user's, which exports what ours do: `options`, a zod schema, and the factory as default.
 *
 * @param given - the options, with the name of the part and what belongs to the engine
 * @param place - where it stands in the configuration, for messages
 * @throws `ERR_UNKNOWN_DRIVER` with the names there are, `ERR_CONFIG` with the place
 */
export async function loadPart<T>(
  folder: PartFolder,
  given: { readonly [option: string]: unknown },
  { place, world, except = [] }: { readonly place: string; readonly world: World; readonly except?: readonly string[] },
): Promise<T> {
  const kind = kinds[folder]
  const name = String(given[kind])
  const found = await importPart<T>(folder, name, place)
  const own = Object.fromEntries(Object.entries(given).filter(([option]) => option !== kind && !except.includes(option)))
  const { success, data, error } = found.options.safeParse(own)
  if (success) return found.default(data as never, world)
  throw faultOf(place, error)
}

/** The refusal of options: the place and what was expected, never what stands there. */
export function faultOf(place: string, { issues }: z.ZodError): Error {
  const [issue] = issues
  const path = (issue?.path ?? []).map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`)).join('')
  const expected = issue?.code === 'unrecognized_keys' ? `there is no property "${issue.keys[0]}" here` : wordsOf(issue)
  return fail('ERR_CONFIG', `${place}${path}`, expected)
}

function wordsOf(issue: z.core.$ZodIssue | undefined): string {
  if (issue === undefined) return 'it is not as expected'
  if (issue.code === 'invalid_type') return issue.message.replace(/^Invalid input: /, '').replace(/, received.*$/, '')
  // Messages of zod name what was expected; those that would quote what stood there are not used.
  return issue.code === 'custom' || issue.code === 'invalid_union' || issue.code === 'invalid_format' || issue.code === 'too_small'
    ? issue.message.replace(/^Invalid input$/, 'it is not as expected')
    : 'it is not as expected'
}

async function importPart<T>(folder: PartFolder, name: string, place: string): Promise<PartModule<T>> {
  const kind = kinds[folder]
  const own = /[./]/.test(name)
  const names = await partNames(folder)
  const unknown = () => fail('ERR_UNKNOWN_DRIVER', kind, name, `${names.join(', ')}. It stands at ${place}`)
  if (!own && !names.includes(name)) throw unknown()
  const specifier = own ? (name.startsWith('.') ? pathToFileURL(resolve(name)).href : name) : `${base}${folder}/${name}.${extension}`
  const found = await import(specifier).catch((error: { readonly code?: unknown }) => ({ failed: error?.code }))
  if (typeof found?.default === 'function' && typeof found?.options?.safeParse === 'function') return found
  if (!own) throw unknown()
  const path = name.startsWith('.') ? resolve(name) : name
  const why = !('failed' in found)
    ? 'does not export "options", a schema of zod, and a factory as default'
    : found.failed === 'ERR_MODULE_NOT_FOUND'
      ? 'is not there, or imports what is not; it is looked for from the folder in which the command is started'
      : 'cannot be loaded: try it with node'
  throw fail('ERR_CONFIG', place, `the module ${path} ${why}`)
}

/** The names of our parts of a kind: the files of its folder. */
export async function partNames(folder: PartFolder): Promise<string[]> {
  const files = await readdir(fileURLToPath(`${base}${folder}/`)).catch(() => [])
  return [...new Set(files.filter((file) => /^[a-z0-9-]+\.m?[jt]s$/.test(file)).map((file) => file.replace(/\..*$/, '')))].sort()
}
