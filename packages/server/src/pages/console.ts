import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A file of the console, as it is sent. */
export interface ConsoleFile {
  readonly type: string
  readonly body: Buffer
  /** Whether its name changes with its content. */
  readonly lasting: boolean
}
/** The built console, by path below the prefix: `/index.html`, `/assets/index-3f2a.js`. */
export type Console = ReadonlyMap<string, ConsoleFile>

const types: { readonly [extension: string]: string } = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
}

/** Where the built console stands: in the package as it is published, in that of a workspace, and in a clone. */
const folders = ['./console', '../../dist/console', '../../../console/dist', '../../console/dist'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
)
/** The console of a clone, from which it is built. */
const source = fileURLToPath(new URL('../../../console', import.meta.url))

/** The folder of the built console; null where there is none. */
export function findConsole(): string | null {
  return folders.find((folder) => existsSync(join(folder, 'index.html'))) ?? null
}

/** Builds the console of a clone where it was not built yet. @returns false where there is none to build, or it failed */
export async function buildConsole(): Promise<boolean> {
  if (findConsole() !== null) return true
  if (!existsSync(join(source, 'package.json'))) return false
  const child = spawn('npm', ['run', 'build'], { cwd: source, stdio: 'ignore' })
  const [code] = await once(child, 'close').catch(() => [1])
  return code === 0 && findConsole() !== null
}

/**
 * Reads the console into memory, all of it: it is small, and what is sent is then looked up by its exact name. No name of a request
 * reaches the file system.
 *
 * @param prefix - where the server is mounted: the page is told, because all of its addresses are relative
 */
export async function readConsole(folder: string, prefix: string): Promise<Console> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && types[extname(entry.name)] !== undefined)
  const found = await Promise.all(
    files.map(async ({ parentPath, name }) => {
      const path = `/${relative(folder, join(parentPath, name)).split(sep).join('/')}`
      const body = await readFile(join(parentPath, name))
      const file: ConsoleFile = { type: types[extname(name)] ?? '', body, lasting: /^\/assets\/.*-[\w-]{8,}\.\w+$/.test(path) }
      return [path, path === '/index.html' ? { ...file, body: withBase(body, prefix) } : file] as const
    }),
  )
  return new Map(found)
}

function withBase(html: Buffer, prefix: string): Buffer {
  const base = `<base href="${prefix}/">`
  const text = html.toString('utf8')
  return Buffer.from(/<base [^>]*>/.test(text) ? text.replace(/<base [^>]*>/, base) : text.replace('<head>', `<head>${base}`))
}
