import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import { root } from '../harness/child.ts'

/** A file of the repository. */
export interface SourceFile {
  /** From the root, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** An import of a file: of a package, of `node:`, or of another file (then as a path from the root). */
export interface Import {
  readonly from: string
  readonly to: string
  /** Whether it is erased: only types. */
  readonly typeOnly: boolean
}

const folders = ['packages', 'test', 'bench', 'examples', 'release']
const passedOver = new Set(['node_modules', 'dist', 'coverage', 'results', 'generated'])

/** Every TypeScript and JavaScript file that is written by hand. */
export function readSources(): SourceFile[] {
  return folders
    .map((folder) => join(root, folder))
    .filter((folder) => existsSync(folder))
    .flatMap(walk)
}

function walk(folder: string): SourceFile[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (passedOver.has(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return walk(path)
    if (!/\.(ts|mts|js|mjs)$/.test(entry.name)) return []
    return [{ path: relative(root, path).split(sep).join('/'), text: readFileSync(path, 'utf8') }]
  })
}

// Static imports and exports, bare imports, and dynamic imports of a literal.
const statement = /^\s*(import|export)\s+(type\s+)?(?:[^'"`;]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm

/** The imports of a file, comments left out. */
export function importsOf({ path, text }: SourceFile): Import[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '')
  return [...code.matchAll(statement)].map((match) => {
    const specifier = match[3] ?? match[4] ?? ''
    const to = specifier.startsWith('.') ? posix.normalize(posix.join(posix.dirname(path), specifier)) : specifier
    return { from: path, to, typeOnly: match[2] !== undefined }
  })
}
