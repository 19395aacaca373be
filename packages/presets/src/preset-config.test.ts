import { type Config, env } from '@keyturn/core'
import { expect, test } from 'vitest'
import type { Preset } from './preset.ts'
import { presetConfig, presetMode } from './preset-config.ts'

const preset: Preset = {
  name: 'example',
  application: 'Example',
  tested: 'example@0000000 (2026-01-01)',
  source: { repository: 'example/example', commit: '0'.repeat(40), paths: ['src/crypto.ts'] },
  key: { env: 'KEY', rule: 'base64', note: '' },
  mode: 'online',
  online: true,
  fields: {
    'example.token': { column: 'users.token', bind: ['id'], writes: { codec: 'blob', order: 'iv.tag.ct' } },
    'example.secret': { column: 'hooks.secret', writes: 'hex-colon', empty: 'keep', optional: true },
  },
  alsoUsedFor: [],
  notAffected: [],
}
const [old, fresh, older] = [env('OLD'), env('NEW'), env('OLDER')]
const base: Config = {
  database: env('DATABASE_URL'),
  schema: 'turning',
  keyrings: { app: { root: env('ROOT') } },
  fields: { 'own.field': { column: 'own.field', keyring: 'app' } },
}

test('from key to key, each field writes the format of the application under the new key and reads it under the old ones', () => {
  expect(presetConfig(preset, { old, previous: [older], new: fresh }, base)).toEqual({
    database: env('DATABASE_URL'),
    schema: 'turning',
    keyrings: { example: { primary: fresh, keyRule: 'base64' } },
    fields: {
      'example.token': {
        column: 'users.token',
        keyring: 'example',
        writes: { codec: 'blob', order: 'iv.tag.ct' },
        reads: [{ codec: 'blob', order: 'iv.tag.ct', key: old, previous: [older], keyRule: 'base64' }],
      },
      'example.secret': {
        column: 'hooks.secret',
        keyring: 'example',
        empty: 'keep',
        writes: 'hex-colon',
        reads: [{ codec: 'hex-colon', key: old, previous: [older], keyRule: 'base64' }],
      },
    },
  })
})

test('to a keyring of the configuration, each field writes kt1, bound to its row', () => {
  const { keyrings, fields } = presetConfig(preset, { old, to: 'app', fields: ['example.token'] }, base)
  expect(keyrings).toEqual(base.keyrings)
  expect(fields).toEqual({
    'example.token': {
      column: 'users.token',
      keyring: 'app',
      bind: ['id'],
      reads: [{ codec: 'blob', order: 'iv.tag.ct', key: old, keyRule: 'base64' }],
    },
  })
})

test('exactly one of a new key and a keyring is asked for, and names that are not there are refused with the nearest', () => {
  expect(() => presetConfig(preset, { old })).toThrow(/needs a new key, or a keyring/)
  expect(() => presetConfig(preset, { old, new: fresh, to: 'app' }, base)).toThrow(/needs a new key, or a keyring/)
  expect(() => presetConfig(preset, { old, to: 'ap' }, base)).toThrow('there is no keyring named "ap". Did you mean "app"?')
  expect(() => presetConfig(preset, { old, to: 'app' })).toThrow('there is no keyring named "app"')
  expect(() => presetConfig(preset, { old, new: fresh, fields: ['example.tokem'] })).toThrow('Did you mean "example.token"?')
})

test('the mode is the one asked for, else that of the preset; what would break the application is refused with the reason', () => {
  expect([presetMode(preset, {}), presetMode(preset, {}, 'transaction'), presetMode(preset, {}, 'online')]).toEqual([
    'online',
    'transaction',
    'online',
  ])
  const careful: Preset = { ...preset, mode: 'transaction', online: 'it knows one key' }
  expect(presetMode(careful, {})).toBe('transaction')
  expect(() => presetMode(careful, {}, 'online')).toThrow('cannot be rotated online: it knows one key. Use --mode transaction')
  expect([presetMode(careful, { to: 'app' }), presetMode(careful, { to: 'app' }, 'transaction')]).toEqual(['online', 'transaction'])
})
