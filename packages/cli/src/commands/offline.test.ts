import { createSecretKey } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { validateConfig } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { createFolder, runCommand } from '../../../../test/harness/command.ts'

const kt1 = 'kt1.aaaqeaye.EBESExQVFhcYGRobce0hAD8KQxjlrYlYkn-kOLVYVDS29Q'

describe('keygen', () => {
  test.each([
    [[], /^[0-9a-f]{64}\n$/],
    [['--format', 'hex', '--bytes', '16'], /^[0-9a-f]{32}\n$/],
    [['--format', 'base64'], /^[A-Za-z0-9+/]{43}=\n$/],
    [['--format', 'base64url'], /^[\w-]{43}\n$/],
    [['--format', 'chars', '--length', '40'], /^[A-Za-z0-9]{40}\n$/],
  ])('with %j prints only the key', async (options, shape) => {
    const runs = [await runCommand(['keygen', ...options]), await runCommand(['keygen', ...options])]
    for (const { code, stdout, stderr } of runs) {
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(shape)
    }
    expect(runs[0]?.stdout).not.toBe(runs[1]?.stdout)
  })

  test('a key of 32 bytes is one that Node takes', async () => {
    const { stdout } = await runCommand(['keygen', '--json'])
    expect(createSecretKey(JSON.parse(stdout).key, 'hex').symmetricKeySize).toBe(32)
  })

  test.each([
    [['--format', 'dec']],
    [['--bytes', 'many']],
    [['--bytes', '3']],
    [['--format', 'chars', '--bytes', '32']],
    [['--length', '32']],
  ])('%j is refused', async (options) => {
    const { code, stdout } = await runCommand(['keygen', ...options])
    expect([code, stdout]).toEqual([2, ''])
  })
})

describe('inspect', () => {
  const hex = `${'a1'.repeat(16)}:${'b2'.repeat(16)}:${'c3'.repeat(9)}`
  const blob = Buffer.alloc(40, 7)

  test('names the key of a value that names one, without the value', async () => {
    const { code, stdout, stderr } = await runCommand(['inspect'], { stdin: `${kt1}\n` })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toBe(`Text of ${kt1.length} characters.\nIt fits:\n  --format kt1  under key aaaqeaye\n`)
  })

  test.each([
    ['hex-colon', hex, 'hex-colon,order=iv.tag.ct,iv=16'],
    ['blob', blob.toString('base64'), 'blob,encoding=base64'],
    ['blob', `\\x${blob.toString('hex')}`, 'blob,encoding=bytes'],
  ])('knows a value of %s', async (format, stdin, declaration) => {
    const { code, stdout } = await runCommand(['inspect', '--json'], { stdin })
    expect(code).toBe(0)
    expect(JSON.parse(stdout).formats).toContainEqual({ format, declaration, keyId: null })
    expect(stdout).not.toContain(stdin)
  })

  test('a value of no format ends with 1, and is not shown', async () => {
    const { code, stdout, stderr } = await runCommand(['inspect'], { stdin: 'marked plaintext' })
    expect(code).toBe(1)
    expect(stdout).toContain('It fits no format')
    expect(stdout + stderr).not.toContain('marked')
  })

  test('nothing at all is refused', async () => {
    expect((await runCommand(['inspect'], { stdin: '\n' })).code).toBe(2)
  })

  test('a value on the command line is refused, and not repeated', async () => {
    const { code, stderr } = await runCommand(['inspect', kt1])
    expect(code).toBe(2)
    expect(stderr).not.toContain('kt1.')
  })
})

describe('formats', () => {
  test('lists formats and key rules, in words and as JSON', async () => {
    const { stdout } = await runCommand(['formats'])
    for (const name of ['kt1', 'hex-colon', 'blob', 'plain', 'passphrase', 'utf8']) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
    const json = JSON.parse((await runCommand(['formats', '--json'])).stdout)
    expect(json.formats.map(({ name }: { name: string }) => name)).toEqual(['kt1', 'hex-colon', 'blob', 'plain'])
    expect(Object.keys(json.keyRules)).toEqual(['hex', 'base64', 'base64url', 'utf8', 'passphrase'])
  })
})

describe('init', () => {
  test.each([
    [[], 'keyturn.config.ts'],
    [['--json-config'], 'keyturn.config.json'],
  ])('%j writes %s, which is then found and good', async (options, name) => {
    const cwd = await createFolder()
    const { code, stdout } = await runCommand(['init', ...options], { cwd })
    expect(code).toBe(0)
    expect(stdout).toContain(`Wrote ${name}`)
    expect(await readdir(cwd)).toEqual([name])
    const { stdout: found } = await runCommand(['doctor', '--json'], { cwd })
    expect(JSON.parse(found).checks).toContainEqual({
      name: 'configuration',
      state: 'ok',
      detail: expect.stringContaining(`${name}, 1 keyring, 0 fields`),
    })
  })

  test('what is there is never overwritten', async () => {
    const text = JSON.stringify(validateConfig({ keyrings: {}, fields: {} }))
    const cwd = await createFolder({ 'keyturn.config.json': text })
    const { code, stdout } = await runCommand(['init'], { cwd })
    expect([code, stdout]).toEqual([0, expect.stringContaining('keyturn.config.json is there already; it was left as it is')])
    expect([await readdir(cwd), await readFile(join(cwd, 'keyturn.config.json'), 'utf8')]).toEqual([['keyturn.config.json'], text])
  })

  test('a wrong configuration stops it', async () => {
    const cwd = await createFolder()
    await writeFile(join(cwd, 'keyturn.config.json'), '{}')
    expect((await runCommand(['init'], { cwd })).code).toBe(2)
  })

  test('--sql prints the SQL for the schema of the configuration, and changes nothing', async () => {
    const cwd = await createFolder({ 'keyturn.config.json': JSON.stringify({ schema: 'own "keys"', keyrings: {}, fields: {} }) })
    const { code, stdout } = await runCommand(['init', '--sql'], { cwd })
    expect(code).toBe(0)
    expect(stdout).toContain('CREATE SCHEMA IF NOT EXISTS "own ""keys""";')
    expect(await readdir(cwd)).toEqual(['keyturn.config.json'])
  })
})
