import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { PartFolder } from '../../packages/secrets/src/secret/load-part.ts'
import { root } from '../harness/child.ts'

const kinds: Record<PartFolder, readonly [kind: string, what: string]> = {
  rotators: ['rotator', 'makes a credential, tries it, and ends it'],
  stores: ['store', 'is where consumers read it'],
  targets: ['target', 'must take the new value'],
  gates: ['gate', 'says whether consumers are healthy, or whether somebody still uses the old credential'],
  alerts: ['alert', 'tells somebody'],
}

interface Part {
  readonly name: string
  /** The paragraphs of the docstring of its default export. */
  readonly paragraphs: readonly string[]
  readonly options: readonly { readonly name: string; readonly required: boolean; readonly meaning: string }[]
}

/** docs/secret-parts.md, from the docstrings and the options of the parts. */
export async function partsDocument(): Promise<string> {
  const chapters: string[] = []
  for (const [folder, [kind, what]] of Object.entries(kinds)) {
    const parts = await partsOf(folder)
    const rows = parts.map(({ name, paragraphs: [first = ''] }) => `| [\`${name}\`](#${kind}-${name}) | ${cell(first)} |`)
    chapters.push(
      [
        `## ${capital(folder)}`,
        `A ${kind} ${what}.`,
        `| ${kind} | |\n|---|---|\n${rows.join('\n')}`,
        ...parts.map((part) => section(kind, part)),
      ].join('\n\n'),
    )
  }
  return `# The parts of a secret

<!-- Written by "npm run docs" from the sources in packages/secrets/src. -->

What a configuration names under \`secrets\` and \`alerts\`: see [secrets.md](secrets.md). \`env\` stands for \`env('NAME')\` or a file, never for a value.

${chapters.join('\n\n')}
`
}

async function partsOf(folder: string): Promise<Part[]> {
  const path = join(root, 'packages/secrets/src', folder)
  const files = readdirSync(path).filter((file) => /^[a-z0-9-]+\.ts$/.test(file))
  return await Promise.all(
    files.toSorted().map(async (file) => {
      const source = readFileSync(join(path, file), 'utf8')
      // Options that several parts have stand in a file that they share.
      const shared = [...source.matchAll(/from '(\.[^']+)'/g)].map(([, from = '']) => readFileSync(join(path, from), 'utf8'))
      const { options } = (await import(join(path, file))) as { readonly options: z.ZodType }
      return { name: file.replace(/\.ts$/, ''), paragraphs: docstring(source), options: optionsOf(options, [own(source), ...shared]) }
    }),
  )
}

/** The comment before the default export, a line a paragraph. */
function docstring(source: string): string[] {
  const before = source.slice(0, source.indexOf('export default'))
  const comment = before.slice(before.lastIndexOf('/**') + 3, before.lastIndexOf('*/'))
  const text = comment.replaceAll(/^[ \t]*\*? ?/gm, '').split(/^@/m)[0] ?? ''
  return text
    .trim()
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replaceAll(/\s*\n\s*(?![-*\s])/g, ' '))
}

interface Shape {
  readonly properties?: Readonly<Record<string, unknown>>
  readonly required?: readonly string[]
  readonly anyOf?: readonly Shape[]
  readonly oneOf?: readonly Shape[]
  readonly allOf?: readonly Shape[]
}

const own = (source: string) => source.slice(source.indexOf('export const options'), source.indexOf('export default'))

function optionsOf(options: z.ZodType, sources: readonly string[]): Part['options'] {
  const shapes = flat(z.toJSONSchema(options, { io: 'input', unrepresentable: 'any' }) as Shape).filter(({ properties }) => properties)
  const names = [...new Set(shapes.flatMap(({ properties = {} }) => Object.keys(properties)))]
  return names.map((name) => ({
    name,
    required: shapes.every(({ required = [] }) => required.includes(name)),
    meaning: sources.map((source) => commentOn(name, source)).find((text) => text !== undefined) ?? '',
  }))
}

/** The comment right before an option. */
function commentOn(name: string, source: string): string | undefined {
  const found = new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*?)\\*/\\s*${name}: (?!string|number|boolean|readonly)\\w`).exec(source)
  return found?.[1]?.replaceAll(/\s*\n\s*\*\s*/g, ' ').trim()
}

const flat = (shape: Shape): Shape[] => [shape, ...[...(shape.anyOf ?? []), ...(shape.oneOf ?? []), ...(shape.allOf ?? [])].flatMap(flat)]
const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

function section(kind: string, { name, paragraphs, options }: Part): string {
  const rows = options.map(({ name: option, required, meaning }) => `| \`${option}\` | ${required ? 'required' : ''} | ${cell(meaning)} |`)
  return [
    `### ${capital(kind)} ${name}`,
    ...paragraphs,
    ...(rows.length === 0 ? [] : [`| option | | |\n|---|---|---|\n${rows.join('\n')}`]),
  ].join('\n\n')
}
