import { describe, expect, test } from 'vitest'
import { isKeyturnError } from '../errors.ts'
import { defineConfig, env } from './config.ts'
import { validateConfig } from './validate.ts'

const good = {
  database: { env: 'DATABASE_URL' },
  keyrings: { app: { root: { env: 'KEYTURN_ROOT_KEY' }, period: '90d' }, web: { primary: { file: '/run/key' }, keyRule: 'hex' } },
  fields: {
    'jira.token': {
      column: 'jira_configs.encryptedToken',
      keyring: 'app',
      bind: ['id'],
      reads: [{ codec: 'hex-colon', iv: 16, key: { env: 'OLD' }, previous: [{ env: 'OLDER' }], keyRule: 'passphrase' }, 'plain'],
    },
  },
}

/** The message about `good` with the value at `path` replaced. */
function complaint(path: readonly (string | number)[], value: unknown): string {
  const copy = structuredClone(good) as unknown as Record<string | number, unknown>
  const last = path.at(-1) ?? ''
  const parent = path
    .slice(0, -1)
    .reduce<Record<string | number, unknown>>((at, name) => at[name] as Record<string | number, unknown>, copy)
  parent[last] = value
  try {
    validateConfig(copy)
  } catch (error) {
    if (isKeyturnError(error, 'ERR_CONFIG')) return error.message
    throw error
  }
  return 'accepted'
}

test('a good configuration is accepted and returned', () => {
  expect(validateConfig(good)).toBe(good)
})

test('env() and defineConfig make what is accepted, and undefined is as if not given', () => {
  const config = defineConfig({ keyrings: { app: { root: env('ROOT') } }, fields: {} })
  expect(validateConfig({ ...config, schema: undefined })).toMatchObject({ fields: {} })
})

const field = ['fields', 'jira.token'] as const
const cases: [string, readonly (string | number)[], unknown, string][] = [
  [
    'a key in place of its name',
    [...field, 'reads', 0, 'key'],
    'marked-secret',
    'at fields.jira.token.reads[0].key: expected { "env": "NAME" } or { "file": "/path" }, found text',
  ],
  [
    'a key as the name of a variable',
    ['database'],
    { env: 'deadbeef'.repeat(8) },
    'at database.env: expected the name of an environment variable',
  ],
  [
    'a misspelt property',
    [...field, 'keyrng'],
    'app',
    'at fields.jira.token.keyrng: there is no property "keyrng" here. Did you mean "keyring"?',
  ],
  ['a misspelt property at the top', ['keyring'], {}, 'at keyring: there is no property "keyring" here. Did you mean "keyrings"?'],
  ['a misspelt property of a union', ['keyrings', 'app'], { rot: { env: 'A' } }, 'found an object with "rot". Did you mean "root"?'],
  [
    'a misspelt property of a read',
    [...field, 'reads', 0, 'previos'],
    [],
    'at fields.jira.token.reads[0].previos: there is no property "previos" here. Did you mean "previous"?',
  ],
  ['a missing property', ['fields', 'x'], { column: 'a.b' }, 'at fields.x: the property "keyring" is missing'],
  [
    'a keyring that does not exist',
    [...field, 'keyring'],
    'ap',
    'at fields.jira.token.keyring: there is no keyring "ap". Did you mean "app"?',
  ],
  [
    'a keyring of a read that does not exist',
    [...field, 'reads', 1],
    { codec: 'kt1', keyring: 'wep' },
    'reads[1].keyring: there is no keyring "wep". Did you mean "web"?',
  ],
  ['an option of kt1', [...field, 'writes'], { codec: 'kt1', iv: 12 }, 'at fields.jira.token.writes.iv: the codec kt1 has no options'],
  ['a key beside a keyring', [...field, 'reads', 0, 'keyring'], 'app', 'reads[0].key: its keys are those of the keyring'],
  [
    'previous keys without a key',
    [...field, 'reads', 1],
    { codec: 'blob', previous: [{ env: 'A' }] },
    'reads[1]: the property "key" is missing, to which "previous" belongs',
  ],
  ['a key for plain text', [...field, 'reads', 1], { codec: 'plain', key: { env: 'A' } }, 'reads[1]: plain text needs no key'],
  [
    'a wrong word',
    ['keyrings', 'web', 'keyRule'],
    'hx',
    'at keyrings.web.keyRule: expected one of "hex", "base64", "base64url", "utf8", "passphrase". Did you mean "hex"?',
  ],
  [
    'both a root and a primary',
    ['keyrings', 'app', 'primary'],
    { env: 'A' },
    'at keyrings.app.primary: there is no property "primary" here',
  ],
  ['a wrong period', ['keyrings', 'app', 'period'], 'soon', 'at keyrings.app.period: expected a period such as "90d"'],
  ['an empty list of roots', ['keyrings', 'app', 'root'], [], 'at keyrings.app.root: expected at least 1, found none'],
  ['a number out of range', ['refreshMs'], 1, 'at refreshMs: expected a number from 50 to 3600000'],
  [
    'a choice among strings without a document',
    [...field, 'only'],
    'encrypted',
    'at fields.jira.token.only: it chooses among the strings of a document: the column needs a path',
  ],
  [
    'another choice',
    ['fields', 'x'],
    { column: 'a.b:/**', keyring: 'app', only: 'secret' },
    'at fields.x.only: expected one of "encrypted"',
  ],
  [
    'only what is encrypted, and plain text',
    ['fields', 'x'],
    { column: 'a.b:/**', keyring: 'app', only: 'encrypted', reads: [{ codec: 'plain', looksLike: 'sk-.*' }] },
    'at fields.x.only: it takes only what is encrypted, and the field reads plain text',
  ],
  [
    'members beside a value at every depth',
    ['fields', 'x'],
    { column: 'a.b:/c/**', keyring: 'app', where: { secret: true } },
    'at fields.x.where: it speaks of members beside a value, and a path that ends in ** has values at every depth',
  ],
  [
    'a path that goes on behind **',
    ['fields', 'x'],
    { column: 'a.b:/**/c', keyring: 'app' },
    '** stands for everything below and ends a pointer',
  ],
  ['a bad name of a field', ['fields', 'a b'], good.fields['jira.token'], 'at fields.a b: expected a name of 1 to 128'],
  ['a column bound twice', [...field, 'bind'], ['id', 'id'], 'at fields.jira.token.bind[1]: it stands in the list twice'],
  [
    'two fields on one column',
    ['fields', 'other'],
    good.fields['jira.token'],
    'at fields.other.column: field "jira.token" stands there already',
  ],
  [
    'the same column written in another way',
    ['fields', 'other'],
    { ...good.fields['jira.token'], column: '"jira_configs"."encryptedToken"' },
    'at fields.other.column: field "jira.token" stands there already',
  ],
  ['what names no column', [...field, 'column'], 'token', 'at fields.jira.token.column: "token" does not name a column'],
  [
    'a key in what is written',
    [...field, 'writes'],
    { codec: 'hex-colon', key: { env: 'A' } },
    'at fields.jira.token.writes.key: a field writes with the keyring that it names',
  ],
  [
    'a condition without a path',
    [...field, 'where'],
    { type: 'oauth' },
    'at fields.jira.token.where: it speaks of members beside a value inside a document: the column needs a path',
  ],
  [
    'a condition on the document itself',
    ['fields', 'x'],
    { column: 'a.b:', keyring: 'app', where: { type: 'oauth' } },
    'at fields.x.where: it speaks of members beside a value',
  ],
  [
    'a condition on what is no text, number, true, false or null',
    ['fields', 'x'],
    { column: 'a.b:/c', keyring: 'app', where: { type: ['oauth'] } },
    'at fields.x.where.type: expected text, a number, true, false or null, found a list',
  ],
  ['what is no JSON pointer', [...field, 'column'], 'a.b:/c~', 'at fields.jira.token.column: "/c~" is not a JSON pointer'],
  [
    'bytes inside a document',
    ['fields', 'x'],
    { column: 'a.b:/c', keyring: 'app', writes: { codec: 'blob', encoding: 'bytes' } },
    'at fields.x.writes.encoding: a value inside a document is text',
  ],
  ['a key id for a format that names its key', [...field, 'keyId'], 'key_id', 'at fields.jira.token.keyId: values of the format kt1'],
  [
    'a key id for kt1 with its name',
    ['fields', 'x'],
    { column: 'a.b', keyring: 'app', writes: { codec: 'kt1' }, keyId: 'k' },
    'at fields.x.keyId: values of the format kt1',
  ],
  [
    'a key id in the column of the values',
    ['fields', 'x'],
    { column: 'a.b', keyring: 'app', writes: 'blob', keyId: 'b' },
    'at fields.x.keyId: it is the column of the values themselves',
  ],
  [
    'a key id inside a document',
    ['fields', 'x'],
    { column: 'a.b:/c', keyring: 'app', writes: 'blob', keyId: 'k' },
    'at fields.x.keyId: a column of key ids belongs to a whole column',
  ],
  [
    'a key id that is bound',
    ['fields', 'x'],
    { column: 'a.b', keyring: 'app', writes: 'blob', keyId: 'k', bind: ['k'] },
    'at fields.x.keyId: the field is bound to it',
  ],
  [
    'ids of keys from the environment',
    ['fields', 'x'],
    { column: 'a.b', keyring: 'web', writes: 'blob', keyId: 'k' },
    'at fields.x.keyId: it needs a keyring that Keyturn keeps',
  ],
  ['what is kept as no regular expression', [...field, 'keep'], '(', 'at fields.jira.token.keep: it is not a valid regular expression'],
  ['everything kept', [...field, 'keep'], '.*', 'at fields.jira.token.keep: it matches everything'],
  ['our own values kept', [...field, 'keep'], 'kt1\\..+', 'at fields.jira.token.keep: it matches values that Keyturn writes'],
  ['the own name as an older one', [...field, 'was'], ['jira.token'], 'at fields.jira.token.was[0]: it is the name that the field has'],
  [
    'the name of another field as an older one',
    ['fields', 'x'],
    { column: 'a.b', keyring: 'app', was: ['y', 'jira.token'] },
    'at fields.x.was[1]: field "jira.token" has that name',
  ],
  ['a bad older name', [...field, 'was'], ['a b'], 'at fields.jira.token.was[0]: expected a name of 1 to 128'],
  ['a sensitive column twice', [...field, 'sensitive'], ['id', 'id'], 'at fields.jira.token.sensitive[1]: it stands in the list twice'],
  [
    'a number of messages that is too large',
    ['keyrings', 'app', 'messages'],
    2 ** 31,
    'at keyrings.app.messages: expected a number from 1 to 2147483647',
  ],
  ['a share of a message', ['keyrings', 'app', 'messages'], 1.5, 'at keyrings.app.messages: expected a whole number'],
  ['a horizon in months', ['keyrings', 'app', 'horizon'], '3months', 'at keyrings.app.horizon: expected a period such as "90d"'],
  ['a period of keys from the environment', ['keyrings', 'web', 'period'], '90d', 'at keyrings.web.period: there is no property "period"'],
  [
    'no sentence on what becomes of something',
    ['keyrings', 'web', 'alsoUsedFor'],
    { sessions: '' },
    'at keyrings.web.alsoUsedFor.sessions: expected a sentence on what becomes of it',
  ],
  ['a signing key in place of its name', ['signing'], { key: 'marked-secret' }, 'at signing.key: expected { "env": "NAME" }'],
  ['no object at all', ['keyrings'], null, 'at keyrings: expected an object, found nothing'],
]
describe('a wrong configuration is refused with its path and what was expected:', () => {
  test.each(cases)('%s', (_, path, value, sentence) => {
    const message = complaint(path, value)
    expect(message).toContain(sentence)
    expect(message).not.toMatch(/marked-secret|deadbeef/)
  })
})

test('what stands inside documents, beside key ids and under older names is accepted', () => {
  const fields = {
    a: { column: 's.t.doc:/keys/*', keyring: 'app', where: { type: 'oauth', version: 2, active: true, parent: null } },
    b: { column: 's.t.doc:/keys/*', keyring: 'app', where: { type: 'basic' }, was: ['older'], sensitive: ['token'] },
    c: { column: 's.t.value', keyring: 'app', writes: 'blob', keyId: 'key_id', keep: 'none|n/a' },
  }
  const keyrings = {
    app: {
      root: { env: 'ROOT' },
      period: '6w',
      messages: 2 ** 31 - 1,
      horizon: '35d',
      alsoUsedFor: { cookies: 'everybody logs in again' },
    },
    web: { primary: { env: 'KEY' }, alsoUsedFor: { links: 'links in mails stop working' } },
  }
  const config = { keyrings, fields, signing: { key: { file: '/run/secrets/signing' } } }
  expect(validateConfig(config)).toBe(config)
})

test('what is not an object at all is refused', () => {
  for (const value of [undefined, null, [], 'text', 1]) expect(() => validateConfig(value)).toThrow(/at the top: expected an object/)
})

test('names of properties of all objects are not taken for keyrings', () => {
  expect(complaint([...field, 'keyring'], 'constructor')).toContain('there is no keyring "constructor"')
})

test('a key or an address in the place of a name or a path is refused and not repeated; names and paths are not', () => {
  const refusal = (root: unknown) => {
    try {
      validateConfig({ keyrings: { app: { root } }, fields: {} })
      return null
    } catch (error) {
      return (error as Error).message
    }
  }
  const [base64url, base64] = ['Zm9vYmFyMDEyMzQ1Njc4OUFCQ0RFRkdISUpLTE1OT1A', 'Zm9vYmFyMDEy+zQ1Njc4OUFCQ0RFRkdISUpL/E1OT1A=']
  const misplaced = [
    ...['deadbeef'.repeat(8), base64url, 'aB3aB3aB3aB3aB3aB3aB3aB3aB3aB3aB'].map((env) => ({ env })),
    ...['deadbeef'.repeat(8), base64url, base64, 'postgres://app:hunter2@db/app'].map((file) => ({ file })),
  ]
  for (const ref of misplaced) {
    expect(refusal(ref)).toMatch(/^the configuration is wrong at keyrings\.app\.root\.(env|file): expected the /)
    for (const text of Object.values(ref)) expect(refusal(ref)).not.toContain(text.slice(0, 8))
  }
  const good = [
    ...['KEYTURN_ROOT_KEY_2', 'THE_ROOT_KEY_OF_THE_APPLICATION_IN_REGION_EU_WEST_1', 'rootKey'].map((env) => ({ env })),
    ...['/run/secrets/root-key', './Keys/root.2.key', 'root.key', '/run/secrets/Keyturn/Production/Region1/RootKey'].map((file) => ({
      file,
    })),
  ]
  for (const ref of good) expect(refusal(ref)).toBeNull()
})
