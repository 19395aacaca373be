import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type Config, validateConfig } from '@keyturn/core'
import { describe, expect, test } from 'vitest'
import { createFolder } from '../../../../test/harness/command.ts'
import type { Call } from '../call.ts'
import { Lines } from '../lines.ts'
import type { Options } from '../options.ts'
import { resolveCall } from '../session.ts'
import { keyringOf } from './field-config.ts'

const base: Config = {
  keyrings: { app: { root: { env: 'ROOT' } }, web: { primary: { env: 'WEB' } } },
  fields: { token: { column: 'users.token', keyring: 'app' } },
}

type More = { stdin?: string; config?: Config; args?: string[]; env?: Record<string, string>; verb?: Call['verb'] }

async function resolve(options: Options, more: More = {}) {
  const cwd = await createFolder(more.config === undefined ? {} : { 'keyturn.config.json': JSON.stringify(more.config) })
  const written: string[] = []
  const call: Call = {
    verb: more.verb ?? { name: 'rotate', arguments: ['[KEYRING]'] },
    args: more.args ?? [],
    options,
    attempted: false,
    labels: new Map(),
    io: {
      stdout: { write: () => {} },
      stderr: { write: (text) => written.push(text) },
      stdin: Readable.from(more.stdin === undefined ? [] : [Buffer.from(more.stdin)]),
      env: more.env ?? {},
      cwd,
      isTTY: false,
      onInterrupt: () => () => {},
      exit: () => {},
    },
  }
  const lines = new Lines(call.io)
  try {
    return { ...(await resolveCall(call, lines)), stderr: written.join(''), labels: call.labels }
  } finally {
    lines.close()
  }
}

test('flags make an environment keyring with the new key, and fields that read their format under the old one', async () => {
  const { selection } = await resolve({
    field: ['Users.token', 'a.b'],
    format: 'hex-colon,iv=16',
    keyRule: 'hex',
    oldEnv: ['A', 'A2'],
    newEnv: 'B',
    keepEmpty: true,
  })
  expect(validateConfig(selection.config)).toEqual({
    keyrings: { command: { primary: { env: 'B' }, keyRule: 'hex' } },
    fields: Object.fromEntries(
      ['Users.token', 'a.b'].map((column) => [
        column,
        {
          column,
          keyring: 'command',
          writes: { codec: 'hex-colon', iv: 16 },
          empty: 'keep',
          reads: [{ codec: 'hex-colon', iv: 16, key: { env: 'A' }, previous: [{ env: 'A2' }], keyRule: 'hex' }],
        },
      ]),
    ),
  })
  expect([keyringOf(selection), selection.fields]).toEqual(['command', ['Users.token', 'a.b']])
})

test('strings of documents at every depth are chosen by flags, too', async () => {
  const { selection } = await resolve(
    { field: ['a.b:/**'], format: 'hex-colon', oldEnv: ['A'], to: 'app', onlyEncrypted: true },
    { config: base },
  )
  expect(validateConfig(selection.config).fields).toEqual({
    'a.b____': { column: 'a.b:/**', keyring: 'app', only: 'encrypted', reads: [{ codec: 'hex-colon', key: { env: 'A' } }] },
  })
})

test('with --to the fields are of a keyring of the configuration, and write kt1', async () => {
  const { selection } = await resolve(
    { field: ['users."secret key"'], format: 'blob', oldEnv: ['A'], to: 'app', bind: 'id, kind' },
    { config: base },
  )
  expect(validateConfig(selection.config).fields).toEqual({
    'users.secret_key': {
      column: 'users."secret key"',
      keyring: 'app',
      bind: ['id', 'kind'],
      reads: [{ codec: 'blob', key: { env: 'A' } }],
    },
  })
  expect(selection.config.keyrings).toEqual(base.keyrings)
})

test('keys of files, standard input and the command line are passed on under reserved names, without their line break', async () => {
  const file = join(await createFolder({ key: 'from-file\r\n' }), 'key')
  const { selection, env, labels, stderr } = await resolve(
    { field: ['a.b'], format: 'kt1', oldFile: [file], oldStdin: true, old: ['literal'], newStdin: true },
    { stdin: 'first line\nsecond line\n' },
  )
  const read = selection.config.fields['a.b']?.reads?.[0] as unknown as { key: { env: string }; previous: { env: string }[] }
  const names = [read.key, ...read.previous].map(({ env }) => env)
  const { primary } = selection.config.keyrings.command as { primary: { env: string } }
  expect([...names, primary.env].map((name) => env[name])).toEqual(['from-file', 'first line', 'literal', 'second line'])
  expect([...labels.values()]).toEqual(['the key of --old-file', 'the key of --old-stdin', 'the key of --old', 'the key of --new-stdin'])
  expect(stderr).toMatch(/^warning: a key on the command line stands in the history of the shell and in the list of processes/)
  expect(stderr).not.toContain('literal')
})

const both: Options = { field: ['a.b'], format: 'hex-colon', oldEnv: ['A'], newEnv: 'B' }
describe('refused:', () => {
  test.each<[string, Options, string]>([
    ['no field', { format: 'hex-colon', oldEnv: ['A'] }, '--field is missing'],
    ['no format', { field: ['a.b'], oldEnv: ['A'] }, 'say how the values are encrypted'],
    ['no old key', { field: ['a.b'], format: 'hex-colon', newEnv: 'B' }, 'the old key is missing'],
    ['no new key', { field: ['a.b'], format: 'hex-colon', oldEnv: ['A'] }, 'the new key is missing'],
    ['two new keys', { ...both, new: 'marked-secret' }, 'there can be one new key only'],
    ['a new key with --to', { ...both, to: 'app' }, '--to takes its key from the keyring'],
    [
      'a keyring that is not there',
      { ...both, newEnv: undefined as never, to: 'ap' },
      'there is no keyring named "ap". Did you mean "app"?',
    ],
    ['a rule that is not there', { ...both, keyRule: 'marked-secret' }, '--key-rule must be one of'],
    ['a key as a name', { ...both, oldEnv: ['00ff'.repeat(16)] }, '--old-env needs the name of an environment variable, not a key'],
    [
      'a key of letters as a name',
      { ...both, oldEnv: ['aB3_'.repeat(11)] },
      '--old-env needs the name of an environment variable, not a key',
    ],
    ['an empty key', { ...both, oldEnv: [], old: [''] }, '--old is empty'],
    ['a file that is not there', { ...both, oldFile: ['nowhere'] }, 'the file of --old-file cannot be read (ENOENT)'],
    ['no line of standard input', { ...both, oldStdin: true }, 'standard input, for --old-stdin, is empty'],
    ['--to alone', { to: 'app' }, '--to needs to know what the values are now'],
    ['a field that is not there', { field: ['users.tokn'] }, 'there is no field named "users.tokn"'],
  ])('%s', async (_, options, sentence) => {
    const message = await resolve(options, { config: base }).then(
      () => 'accepted',
      (error: Error) => error.message,
    )
    expect(message).toContain(sentence)
    expect(message).not.toMatch(/marked-secret|00ff/)
  })
})

test('a file with several lines is refused', async () => {
  const file = join(await createFolder({ key: 'marked\nsecret\n' }), 'key')
  await expect(resolve({ ...both, oldFile: [file] })).rejects.toThrow('the file of --old-file has several lines')
})

test('without a name the only keyring is meant, that of the fields chosen, or none', async () => {
  const one = (await resolve({ field: ['users.token'] }, { config: base })).selection
  expect([keyringOf(one), one.fields]).toEqual(['app', ['token']])
  const { selection } = await resolve({}, { config: base })
  expect(() => keyringOf(selection)).toThrow('say which keyring: app, web')
  expect(() => keyringOf({ ...selection, keyring: 'wbe' })).toThrow('there is no keyring named "wbe". Did you mean "web"?')
  expect(keyringOf((await resolve({}, { config: base, args: ['web'] })).selection)).toBe('web')
})

test('--inserted-first says that the database assigns the bound column', async () => {
  const flags: Options = { field: ['users.token'], format: 'blob', oldEnv: ['A'], to: 'app', insertedFirst: true }
  const { selection } = await resolve({ ...flags, bind: 'id' }, { config: base })
  expect(validateConfig(selection.config).fields['users.token']).toMatchObject({ bind: ['id'], insertedFirst: true })
  await expect(resolve(flags, { config: base })).rejects.toThrow('--inserted-first goes with --bind')
})

describe('a keyring that is named beside flags that declare fields', () => {
  const flags: Options = { field: ['users.token'], format: 'hex-colon', oldEnv: ['A'], newEnv: 'B' }

  test('is refused where it is another than theirs', async () => {
    await expect(resolve(flags, { config: base, args: ['app'] })).rejects.toThrow('a keyring was named, and the flags declare fields')
  })

  test('is taken where it is the one that --to names, and a rotation is no keyring', async () => {
    const { newEnv, ...to } = { ...flags, to: 'app' }
    expect((await resolve(to, { config: base, args: ['app'] })).selection.keyring).toBe('app')
    const verb = { name: 'resume', arguments: ['[ROTATION]'] }
    expect((await resolve(flags, { args: ['r1'], verb })).selection.keyring).toBe('command')
  })

  test('is told from a field that is missing', async () => {
    await expect(resolve({ oldEnv: ['A'] }, { config: base, args: ['app'] })).rejects.toThrow(
      '--field is missing: keys and a format on the command line belong to a field of the command line',
    )
  })
})
