import { expect, test } from 'vitest'
import { nextCommands } from './command-line.ts'

const verb = { name: 'rotate', arguments: ['[KEYRING]'] }

test('what goes on from a rotation names the same database, fields and keys', () => {
  const options = {
    database: 'env:DATABASE_URL',
    field: ['users.token', `users."it's"`],
    format: 'hex-colon,iv=16',
    keyRule: 'hex',
    oldEnv: ['OLD', 'OLDER'],
    newStdin: true,
    keepEmpty: true,
    yes: true,
    json: true,
    rate: '5',
  } as const
  const flags = `--database env:DATABASE_URL --field users.token --field 'users."it'\\''s"' --format hex-colon,iv=16 --key-rule hex --old-env OLD --old-env OLDER --new-stdin --keep-empty`
  expect(nextCommands({ verb, args: [], options }, 'r1')).toEqual({
    resume: `keyturn resume r1 ${flags} --yes`,
    cancel: 'keyturn cancel r1 --database env:DATABASE_URL',
    release: 'keyturn release r1 --database env:DATABASE_URL',
    verify: `keyturn verify ${flags}`,
    status: 'keyturn status --database env:DATABASE_URL',
  })
})

test('an address or a key that stood on the command line is not repeated', () => {
  const options = { database: 'postgres://u:marked-secret@h/d', format: 'blob', old: ['marked-secret'], new: 'marked-secret' }
  const commands = nextCommands({ verb, args: [], options }, 'r1')
  expect(commands.release).toBe('keyturn release r1 --database …')
  expect(commands.verify).toBe('keyturn verify --database … --format blob --old … --new …')
  expect(JSON.stringify(commands)).not.toContain('marked-secret')
})

test('with a configuration little has to be repeated', () => {
  expect(nextCommands({ verb, args: ['app'], options: { config: 'my config.ts' } }, 'r1')).toMatchObject({
    verify: `keyturn verify app --config 'my config.ts'`,
    release: `keyturn release r1 --config 'my config.ts'`,
  })
  expect(nextCommands({ verb: { name: 'resume', arguments: ['[ROTATION]'] }, args: ['r1'], options: {} }, 'r1').verify).toBe(
    'keyturn verify',
  )
})
