import { expect, test } from 'vitest'
import { claims } from './claims.ts'
import { consoleSteps, looksLike } from './console.ts'
import { declares, docstringExamples, documentBlocks, withChecks } from './example.ts'

test('a result in a comment becomes a check.', () => {
  expect(withChecks("f(1) // 'x'")).toBe("claims.equal(f(1), 'x')")
  expect(withChecks('const a = await f(1) // { b: 2 }')).toBe('const a = await f(1); claims.equal(a, { b: 2 })')
  expect(withChecks('await f(2) // throws ERR_DECRYPT')).toBe("await claims.throws(async () => await f(2), 'ERR_DECRYPT')")
})

test('other comments stay as they are.', () => {
  for (const line of ['f(1) // the first', '// 5', "f('// 1')", 'f(1) // 2 is not enough here']) expect(withChecks(line)).toBe(line)
})

test('a claim that does not hold fails.', async () => {
  expect(() => claims.equal({ a: 1 }, { a: 2 })).toThrow('the example says')
  await expect(claims.throws(() => 1, 'ERR_DECRYPT')).rejects.toThrow('the example says')
})

test('examples are found in docstrings and in documents.', () => {
  expect(docstringExamples('/**\n * What.\n *\n * @example\n * a()\n * b() // 1\n * @throws x\n */')).toEqual(['a()\nb() // 1'])
  expect(documentBlocks('<!-- example: run a.ts -->\n```ts\nx\n```\n\n```json\n{}\n```\n')).toEqual([
    { language: 'ts', code: 'x\n', example: 'run a.ts' },
    { language: 'json', code: '{}\n', example: undefined },
  ])
})

test('a console block is commands and their output, with ellipses for what differs.', () => {
  expect(consoleSteps('$ keyturn plan\nrows 5\n\n$ keyturn verify\n')).toEqual([
    { command: 'keyturn plan', output: 'rows 5' },
    { command: 'keyturn verify', output: '' },
  ])
  expect(consoleSteps('$ keyturn plan \\\n    --json\n{}\n')).toEqual([{ command: 'keyturn plan --json', output: '{}' }])
  expect(looksLike('1,200 rows in 3 s\n', '1,200 rows in … s')).toBe(true)
  expect(looksLike('a\nb\nc', 'a\n…\nc')).toBe(true)
  expect(looksLike('1,201 rows in 3 s', '1,200 rows in … s')).toBe(false)
  expect(looksLike('a\nb', 'a')).toBe(false)
})

test('a name that an example makes itself is not given to it.', () => {
  for (const code of ['const open = 1', 'const { a, open } = b', "import { open } from 'x'", 'function open() {}']) {
    expect(declares(code, 'open')).toBe(true)
  }
  expect(declares('const keyturn = await open(config)', 'open')).toBe(false)
})
