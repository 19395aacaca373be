import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, expect, test } from 'vitest'
import { root } from '../harness/child.ts'
import { builtConsole } from './build.ts'

const mostBytes = 250_000
const mostLines = 150
const sources = join(root, 'packages/console/src')
let dist = ''

beforeAll(() => {
  dist = builtConsole()
})

test('What a browser fetches first is under 250 kB, compressed.', () => {
  const page = readFileSync(join(dist, 'index.html'), 'utf8')
  const first = [...page.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(([, path]) => path ?? '')
  expect(first.filter((path) => path.endsWith('.js')).length).toBeGreaterThan(1)
  const bytes = [page, ...first.map((path) => readFileSync(join(dist, path)))].reduce((sum, file) => sum + gzipSync(file).length, 0)
  expect(bytes).toBeLessThan(mostBytes)
})

test('What is sent is built for users: nothing of it is for developers of React.', () => {
  const texts = readdirSync(join(dist, 'assets')).map((name) => readFileSync(join(dist, 'assets', name), 'utf8'))
  expect(texts.filter((text) => text.includes('Download the React DevTools'))).toEqual([])
})

test('The page holds no inline code and no inline style.', () => {
  const page = readFileSync(join(dist, 'index.html'), 'utf8')
  expect(page).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|javascript:/i)
  expect(page.match(/<script[^>]*\ssrc=/g)?.length).toBe(2)
})

test('No address of another host is in what is sent, but for names that nothing fetches.', () => {
  // Names of XML languages, and addresses in messages and comments of React, of the router and of the styles.
  const named =
    /^https?:\/\/(www\.w3\.org|react\.dev|reactjs\.org|developer\.mozilla\.org|bugs\.webkit\.org|github\.com|radix-ui\.com|tanstack\.com|localhost|tailwindcss\.com)\b/
  const texts = readdirSync(join(dist, 'assets')).map((name) => readFileSync(join(dist, 'assets', name), 'utf8'))
  const found = texts.flatMap((text) => [...text.matchAll(/https?:\/\/[\w.-]+/g)].map(([address]) => address))
  expect(found.filter((address) => !named.test(address))).toEqual([])
  expect(texts.some((text) => /url\(\s*['"]?(https?:)?\/\//.test(text))).toBe(false)
})

test(`No part of the console is longer than ${mostLines} lines.`, () => {
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(tsx?|css)$/.test(name))
  const long = files.filter(
    (name) => !name.endsWith('.css') && readFileSync(join(sources, name), 'utf8').split('\n').length - 1 > mostLines,
  )
  expect(files.length).toBeGreaterThan(50)
  expect(long).toEqual([])
})
