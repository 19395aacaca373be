import type { KeyringStatus, Status } from '@keyturn/core'
import { oneLine } from '../printable.ts'
import { signingLines } from './signing.ts'
import { count, number, section, table } from './words.ts'

/** What stands where. */
export function statusScreen({ keyrings, rotations, holds }: Status): string {
  const runs = rotations.map(({ id, keyring, mode, state, createdAt, setAside, note }) =>
    [id, keyring, mode, state, createdAt, setAside > 0 ? `${number(setAside)} set aside` : '', note ?? '']
      .filter((part) => part !== '')
      .join('  '),
  )
  const held = holds.map(({ rotationId, tables }) => `${rotationId}: ${tables.join(', ')}`)
  return [
    keyrings.length === 0 ? 'There are no keyrings.' : keyrings.map(keyringScreen).join('\n\n'),
    ...section('Rotations', runs.length === 0 ? ['none'] : runs),
    ...section('Held until "keyturn release"', held),
  ].join('\n')
}

function keyringScreen({ name, kind, revision, versions, due, dueAt, findings, fields, signing }: KeyringStatus): string {
  const rows = versions.map(({ number: n, id, state, compromised, activatedAt, messages, roots }) => [
    String(n),
    id,
    compromised ? `${state}, compromised` : state,
    activatedAt ?? '',
    messages === null ? '' : number(messages),
    roots.join(', '),
  ])
  const where = {
    stored: `stored, revision ${revision}`,
    environment: 'keys from the environment',
    table: 'keys in a table; they only decrypt',
  }[kind]
  return [
    `Keyring "${name}" (${where}); ${fields.length === 0 ? 'no fields' : `${count(fields.length, 'field')}: ${fields.join(', ')}`}`,
    '',
    table(['version', 'id', 'state', 'active since', 'messages', 'wrapped under'], rows),
    ...(signing === null ? [] : signingLines(signing)),
    ...(dueAt === null ? [] : ['', oneLine(`To be rotated by ${dueAt}.`)]),
    ...section('Due', due),
    ...section('Findings', findings),
  ].join('\n')
}
