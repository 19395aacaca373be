import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { fail } from '../errors.ts'

// The folder that holds the folders of drivers, wherever in it a bundler has put this code.
const [, base = '', root = 'src'] = /^(.*\/(src|dist)\/)/.exec(import.meta.url) ?? []
const extension = root === 'src' ? 'ts' : 'mjs'

/** Folders of interchangeable drivers, and what one of them is called. */
const kinds = { codecs: 'codec', 'key-wrappers': 'key wrapper' } as const

/**
 * Finds a driver's factory. A bare name is one of ours: a file of its folder. A name with a slash or a dot is a module of the user's,
 * whose default export is the factory.
 *
 * @throws `ERR_UNKNOWN_DRIVER` with the names there are
 */
export async function loadDriver<T>(folder: keyof typeof kinds, name: string): Promise<(options: never) => T> {
  if (/[./]/.test(name)) return await importFactory(folder, name.startsWith('.') ? pathToFileURL(resolve(name)).href : name, name)
  const available = await driverNames(folder)
  if (!available.includes(name)) throw fail('ERR_UNKNOWN_DRIVER', kinds[folder], name, available.join(', '))
  return await importFactory(folder, `${base}${folder}/${name}.${extension}`, name)
}

async function importFactory<T>(folder: keyof typeof kinds, specifier: string, name: string): Promise<(options: never) => T> {
  const found = await import(specifier).catch(() => null)
  if (typeof found?.default === 'function') return found.default
  throw fail('ERR_UNKNOWN_DRIVER', kinds[folder], name, (await driverNames(folder)).join(', '))
}

/** The names of our drivers of a kind: the files of its folder. */
export async function driverNames(folder: keyof typeof kinds): Promise<string[]> {
  const files = await readdir(fileURLToPath(`${base}${folder}/`))
  return [...new Set(files.filter((file) => /^[a-z0-9-]+\.m?[jt]s$/.test(file)).map((file) => file.replace(/\..*$/, '')))].sort()
}
