import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { root } from '../harness/child.ts'
import { readDocuments } from './documents.ts'

const passedOver = new Set(['.git', 'node_modules', 'dist', 'coverage', 'keyturn-state', 'results'])

// The bytes of a picture spell anything.
const files = walk(root)
  .filter((path) => !path.endsWith('.png'))
  .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }))

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (passedOver.has(entry.name)) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? walk(path) : entry.isFile() ? [path] : []
  })
}

/** What no file may contain. Put together from parts, so that this file does not contain it either. */
const forbidden = {
  'a registry host': new RegExp(['registry' + '\\.npmjs\\.org', 'registry' + '\\.yarnpkg\\.com', '"resolved"' + ': "https?://'].join('|')),
  'a path of one machine': new RegExp('(?<![\\w.])/(?:wo' + 'rk|ho' + 'me/\\w+)/'),
  'a test that shuts out the others': new RegExp('\\b(?:test|it|describe)(?:\\.\\w+)*\\.on' + 'ly\\b'),
  'unfinished work': new RegExp('\\b(?:TO' + 'DO|FIX' + 'ME|XX' + 'X)\\b'),
}

const samples = {
  'a registry host': 'see https://registry.npm' + 'js.org/x',
  'a path of one machine': 'cd /wo' + 'rk/main',
  'a test that shuts out the others': 'test.on' + "ly('x')",
  'unfinished work': '// TO' + 'DO later',
}

test.each(Object.entries(forbidden))('no file names %s.', (name, pattern) => {
  expect(pattern.test(samples[name as keyof typeof samples])).toBe(true)
  expect(files.filter(({ text }) => pattern.test(text)).map(({ path }) => path)).toEqual([])
})

test('every link between documents leads to a file.', () => {
  const dead = [...readDocuments()].flatMap(([path, text]) =>
    [...text.matchAll(/\]\((?!https?:|#|mailto:)([^)#]+)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !existsSync(join(root, dirname(path), link)))
      .map((link) => `${path} → ${link}`),
  )
  expect(dead).toEqual([])
})
