import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../harness/child.ts'
import { importsOf, type SourceFile } from './source.ts'

/** A rule of the house: the violations it finds, as sentences. */
export type Rule = (files: readonly SourceFile[]) => string[]

const core = 'packages/core/src/'
const concepts = ['keyring', 'field', 'rotation', 'signing', 'audit', 'state']
const drivers = ['codecs', 'databases', 'key-wrappers', 'keyring-stores', 'adapters']
const MOST_LINES = 400

/** Which packages each package may import. The folder is the key, the published names are the values. */
const floors: Record<string, readonly string[]> = {
  core: [],
  presets: ['@keyturn/core'],
  secrets: ['@keyturn/core'],
  server: ['@keyturn/core', '@keyturn/presets', '@keyturn/secrets'],
  console: [],
  cli: ['@keyturn/core', '@keyturn/presets', '@keyturn/secrets', '@keyturn/server'],
}

const isTest = (path: string) => path.endsWith('.test.ts')
const isProduct = (path: string) => /^packages\/[^/]+\/(src|bin)\//.test(path) && !isTest(path)

/** The folder of core's src in which a file stands: `codecs`; the empty string for its front door, undefined outside. */
function folderOf(path: string): string | undefined {
  if (!path.startsWith(core)) return undefined
  const inside = path.slice(core.length)
  return inside.includes('/') ? inside.slice(0, inside.indexOf('/')) : ''
}

/** `codecs/kt1.ts` → `kt1.ts`, `databases/postgres/scan.ts` → `postgres/`. */
function familyOf(path: string): string {
  const [, first = '', second] = path.slice(core.length).split('/')
  return second === undefined ? first : `${first}/`
}

const { peerDependenciesMeta } = JSON.parse(readFileSync(join(root, 'packages/core/package.json'), 'utf8'))

/** Whether it is a client that the user may have installed, in a folder of drivers that exist for such clients. */
function isAdaptedPeer(from: string, to: string): boolean {
  const name = to.split('/', to.startsWith('@') ? 2 : 1).join('/')
  return ['adapters', 'key-wrappers'].includes(folderOf(from) ?? '') && peerDependenciesMeta[name]?.optional === true
}

const productImports = (files: readonly SourceFile[]) => files.filter(({ path }) => isProduct(path)).flatMap(importsOf)

export const rules = {
  'a concept does not import a driver': (files) =>
    productImports(files)
      .filter(({ from, to }) => concepts.includes(folderOf(from) ?? '') && drivers.includes(folderOf(to) ?? ''))
      .map(({ from, to }) => `${from} imports ${to}`),

  'drivers of different kinds do not import each other': (files) =>
    productImports(files)
      .filter(({ from, to }) => drivers.includes(folderOf(from) ?? '') && drivers.includes(folderOf(to) ?? ''))
      .filter(({ from, to }) => folderOf(from) !== folderOf(to))
      .map(({ from, to }) => `${from} imports ${to}`),

  'a driver imports at most one shared family folder, and no other driver': (files) => {
    const within = productImports(files).filter(
      ({ from, to }) => drivers.includes(folderOf(from) ?? '') && folderOf(from) === folderOf(to) && familyOf(from) !== familyOf(to),
    )
    const families = new Map<string, Set<string>>()
    for (const { from, to } of within) families.set(from, (families.get(from) ?? new Set()).add(familyOf(to)))
    return [...families].flatMap(([from, others]) => {
      const folders = [...others].filter((family) => family.endsWith('/'))
      const wrong = familyOf(from).endsWith('/') || folders.length < others.size || folders.length > 1
      return wrong ? [`${from} imports ${[...others].join(', ')}`] : []
    })
  },

  'core imports only node: and itself, and optional peers where they are adapted': (files) =>
    productImports(files)
      .filter(({ from, to }) => from.startsWith(core) && !to.startsWith(core) && !to.startsWith('node:') && !isAdaptedPeer(from, to))
      .map(({ from, to }) => `${from} imports ${to}`),

  'a package imports only the floors below it, by their exports': (files) =>
    productImports(files).flatMap(({ from, to }) => {
      const folder = from.split('/')[1] ?? ''
      const below = floors[folder]
      if (below === undefined) return [`packages/${folder} has no place in the house`]
      const ours = /^(@keyturn\/[^/]+|keyturn)(\/|$)/.exec(to)?.[1]
      const wrong = to.startsWith('packages/') ? !to.startsWith(`packages/${folder}/`) : ours !== undefined && !below.includes(ours)
      return wrong ? [`${from} imports ${to}`] : []
    }),

  'no concept needs, by way of others, itself': (files) => {
    const needs = new Map<string, Set<string>>()
    for (const { from, to, typeOnly } of productImports(files)) {
      const [a, b] = [folderOf(from) ?? '', folderOf(to) ?? '']
      if (!typeOnly && a !== b && concepts.includes(a) && concepts.includes(b)) needs.set(a, (needs.get(a) ?? new Set()).add(b))
    }
    return concepts.filter((concept) => reaches(needs, concept, concept)).map((concept) => `${concept} is part of a cycle`)
  },

  [`no file is longer than ${MOST_LINES} lines`]: (files) =>
    files.flatMap(({ path, text }) => {
      const lines = text.split('\n').length - 1
      return lines > MOST_LINES ? [`${path} has ${lines} lines`] : []
    }),

  'names say what a thing is: no utils, helpers, manager or service': (files) =>
    files
      .map(({ path }) => path)
      // The name of a product says what it is.
      .filter((path) =>
        /(^|[/-])(utils?|helpers?|managers?|services?)([/.-]|$)/.test(
          path.replace(/(aws-secrets|gcp-secret)-manager|gcp-service-account/g, ''),
        ),
      ),

  'every driver has its test beside it': (files) => {
    const paths = new Set(files.map(({ path }) => path))
    return [...paths].filter(
      (path) =>
        isProduct(path) &&
        drivers.includes(folderOf(path) ?? '') &&
        !familyOf(path).endsWith('/') &&
        !paths.has(path.replace(/\.ts$/, '.test.ts')),
    )
  },
} satisfies Record<string, Rule>

function reaches(needs: Map<string, Set<string>>, from: string, to: string, seen = new Set<string>()): boolean {
  if (seen.has(from)) return false
  seen.add(from)
  const next = [...(needs.get(from) ?? [])]
  return next.includes(to) || next.some((concept) => reaches(needs, concept, to, seen))
}
