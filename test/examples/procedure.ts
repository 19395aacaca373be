import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../harness/child.ts'

/** A row of a table in the README of an example. */
export interface Step {
  readonly name: string
  /** What the environment has, by the names of the columns; undefined where the cell is empty. */
  readonly keys: { readonly [variable: string]: string | undefined }
  /** The first word of what is to be done; empty for the state before. */
  readonly does: string
}

export const readDocument = (example: string, file = 'README.md') => readFileSync(join(root, 'examples', example, file), 'utf8')

/** The steps below a heading of the README of an example, with keys in place of the words for them. */
export function readProcedure(example: string, heading: string, keys: { readonly [word: string]: string }): Step[] {
  const section = readDocument(example).split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
  const [head = [], , ...rows] = section.split('\n').flatMap((line) => (line.startsWith('|') ? [cellsOf(line)] : []))
  const names = head.slice(1, -1).map((name) => name.replaceAll('`', ''))
  const written = (cell: string) => cell.replaceAll(/[a-z]{4,}/g, (word) => keys[word] ?? `no key is called ${word}`)
  return rows.map((cells) => {
    const [name = '', ...rest] = cells
    const [does = ''] = (rest.pop() ?? '').split(/\W/)
    return { name, does, keys: Object.fromEntries(rest.map((cell, n) => [names[n], cell === '' ? undefined : written(cell)])) }
  })
}

/** The scripts that the README has an operator run in the container of the application: the path, and what is given to it. */
export function documentedScripts(example: string): readonly string[][] {
  return [...readDocument(example).matchAll(/^docker compose exec app node (.+)$/gm)].map(([, line = '']) => line.split(' '))
}

const cellsOf = (line: string) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
